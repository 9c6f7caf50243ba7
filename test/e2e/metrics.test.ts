/** /metrics and /ready: what they tell is what has happened, and no more than the reader may know. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { fill, smallDisk } from '../audit/support.js'
import { asUser, curl, run } from '../support/command.js'
import { TestDaemon, type StartOptions } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'
import { needsRoot } from '../support/proc.js'
import { EventReader } from '../support/sse.js'

async function started(t: Test, driver: string, options: StartOptions = {}): Promise<TestDaemon> {
  const daemon = await TestDaemon.start(driver, options)
  t.teardown(() => daemon.cleanUp())
  return daemon
}

type Samples = Map<string, number>

/** Name and labels, as they are written, to the value. Fails on what is no line of the text format. */
function parse(t: Test, text: string): Samples {
  const samples: Samples = new Map()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-z_0-9]+ ./.test(line)) continue
    const [, name, value] = /^([a-z_0-9]+(?:\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})?) (\S+)$/.exec(line) ?? []
    if (name === undefined || !/^(Nan|[-+.e0-9]+)$/.test(value ?? '')) t.fail(`not a sample: ${line}`)
    else if (samples.has(name)) t.fail(`told twice: ${name}`)
    else samples.set(name, Number(value))
  }
  return samples
}

async function metricsOf(t: Test, daemon: TestDaemon): Promise<Samples> {
  const reply = await daemon.get('/metrics')
  t.equal(reply.status, 200)
  t.match(reply.headers['content-type'], /^text\/plain; version=0\.0\.4/)
  return parse(t, reply.text)
}

void t.test('requests are counted by route and status, calls by name and errno', async (t) => {
  const daemon = await started(t, 'memory')
  for (const xid of [100, 101]) expect(201, await daemon.post('/contexts', { xid }))
  for (const xid of [100, 100, 101, 102]) await daemon.get(`/contexts/${xid}/info`)
  await daemon.get('/no/such/path')
  const samples = await metricsOf(t, daemon)
  const requests = (method: string, route: string, status: number) =>
    samples.get(`contextd_http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"}`)
  t.equal(requests('POST', '/contexts', 201), 2)
  t.equal(requests('GET', '/contexts/:xid/info', 200), 3)
  t.equal(requests('GET', '/contexts/:xid/info', 404), 1)
  t.equal(requests('GET', 'none', 404), 1)
  t.equal(samples.get('contextd_native_calls_total{call="vx_create",errno="OK"}'), 2)
  t.equal(samples.get('contextd_native_calls_total{call="vx_info",errno="ESRCH"}'), 1)
  t.equal(samples.get('contextd_info{version="0.1.0",driver="memory"}'), 1)
  t.equal(samples.get('contextd_audit_lines_total'), 2)
  t.ok((samples.get('process_resident_memory_bytes') ?? 0) > 1e6, "the process's own")
  t.ok(samples.has('nodejs_eventloop_lag_p99_seconds'), "Node's own")
  const again = await metricsOf(t, daemon)
  t.equal(again.get('contextd_http_request_duration_seconds_count{method="GET",route="/metrics",status="200"}'), 1)
})

void t.test('contexts by state, and with the option tasks and load of each', needsRoot(), async (t) => {
  const daemon = await started(t, 'namespaces', { args: ['--context-metrics', 'on'] })
  const init = { argv: ['sleep', '1000'] }
  const running = await guestOf(t, daemon, { init })
  await guestOf(t, daemon, { init, flags: ['PERSISTENT', 'SCHED_PAUSE'] })
  await guestOf(t, daemon)
  await running.start(['sleep', '1000'])
  const reader = await EventReader.open(daemon.socket)
  t.teardown(() => {
    reader.close()
  })
  const samples = await metricsOf(t, daemon)
  const states = Object.fromEntries(
    ['setup', 'running', 'paused', 'empty', 'stopping'].map((state) => [
      state,
      samples.get(`contextd_contexts{state="${state}"}`)
    ])
  )
  t.same(states, { setup: 1, running: 1, paused: 1, empty: 0, stopping: 0 })
  const { tasks } = expect<{ tasks: number }>(200, await daemon.get(`${running.path}/stat`))
  t.equal(samples.get(`contextd_context_tasks{xid="${running.xid}"}`), tasks)
  for (const period of ['1m', '5m', '15m'])
    t.ok(samples.has(`contextd_context_load{xid="${running.xid}",period="${period}"}`))
  t.equal(samples.get('contextd_event_readers'), 1)
})

void t.test('promtool finds nothing wrong with what it reads', needsRoot(), async (t) => {
  const daemon = await started(t, 'namespaces', { args: ['--context-metrics', 'on'] })
  await guestOf(t, daemon, { init: { argv: ['sleep', '1000'] } })
  await guestOf(t, daemon)
  expect(404, await daemon.get('/contexts/999'))
  await daemon.get('/metrics') // and so itself is counted
  const found = await run(fileURLToPath(new URL('../../../test/support/promtool', import.meta.url)), [])
  t.equal(found.code, 0, found.stderr)
  const promtool = spawn(found.stdout.trim(), ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [promtool.stdout, promtool.stderr]) stream.on('data', (text) => (said += String(text)))
  promtool.stdin.end((await daemon.get('/metrics')).text)
  const [code] = (await once(promtool, 'close')) as [number]
  t.same([code, said], [0, ''])
})

void t.test('who may read some contexts is told of these alone', needsRoot(), async (t) => {
  const rules = [
    { users: ['root'], actions: ['all'], contexts: ['all'] },
    { users: [23_456], actions: ['read'], contexts: ['100-199'] }
  ]
  const daemon = await started(t, 'memory', { policy: { rules }, args: ['--context-metrics', 'on'] })
  for (const xid of [100, 200, 201]) expect(201, await daemon.post('/contexts', { xid }))
  const [file, ...args] = [...asUser(23_456), 'curl', '-sS', '--unix-socket', daemon.socket, 'http://localhost/metrics']
  const { stdout } = await run(file, args)
  const seen = parse(t, stdout)
  t.equal(seen.get('contextd_contexts{state="setup"}'), 1)
  t.ok(seen.has('contextd_context_tasks{xid="100"}'))
  t.notMatch(stdout, /xid="20[01]"/)
  t.equal((await metricsOf(t, daemon)).get('contextd_contexts{state="setup"}'), 3)
  t.equal((await curl(daemon.socket, 'GET', '/metrics', undefined, asUser(23_457))).status, 403)
})

void t.test('ready is who can work: the audit log is written, and the driver works', needsRoot(), async (t) => {
  const disk = smallDisk(t, 256)
  const daemon = await started(t, 'namespaces', { auditLog: join(disk, 'audit.log') })
  t.match(await daemon.get('/ready'), { status: 200, body: { status: 'ready', driver: 'namespaces', audit: 'ok' } })
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const makeRoom = fill(disk)
  // What is reserved for lines is used up first.
  while ((await daemon.patch('/contexts/100/uname', { nodename: `n${Math.random()}` })).status === 200);
  t.match(await daemon.get('/ready'), {
    status: 503,
    headers: { 'retry-after': '1' },
    body: { type: 'not-ready', detail: /audit/ }
  })
  t.equal((await daemon.get('/health')).status, 200, 'it is alive all the same')
  t.ok(((await metricsOf(t, daemon)).get('contextd_audit_failures_total') ?? 0) > 0)
  makeRoom()
  t.equal((await daemon.get('/ready')).status, 200)

  expect(204, await daemon.delete('/contexts/100?grace=0'))
  const contexts = join(daemon.cgroupRoot ?? '', 'contexts')
  rmdirSync(contexts)
  t.match(await daemon.get('/ready'), { status: 503, body: { type: 'not-ready', detail: /access: ENOENT/ } })
})

void t.test('a daemon that goes on without an audit log says so', needsRoot(), async (t) => {
  const disk = smallDisk(t, 128)
  const daemon = await started(t, 'memory', {
    auditLog: join(disk, 'audit.log'),
    args: ['--audit-failure', 'continue']
  })
  fill(disk)
  expect(201, await daemon.post('/contexts', { xid: 100, name: 'n' }))
  for (
    let count = 0;
    expect<{ audit: string }>(200, await daemon.get('/ready')).audit === 'ok' && count < 1000;
    count++
  )
    expect(200, await daemon.patch('/contexts/100/uname', { nodename: `n${count}` }))
  t.match(await daemon.get('/ready'), { status: 200, body: { audit: 'failing' } })
})

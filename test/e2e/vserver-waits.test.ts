/** Waiting for the end of contexts: one thread each, however many wait, and nothing else is held up. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ExitReport } from '../../daemon/schemas/context.js'
import { curl } from '../support/command.js'
import { MOST_CONNECTIONS, TestDaemon, type Reply } from '../support/daemon.js'
import { needsEmulator } from '../support/emulator.js'
import { expect, guestOf } from '../support/guest.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

t.setTimeout(FILE_LIMIT_MS)

const sleep = { init: { argv: ['/bin/sleep', '1000'] } }
const persistent = { ...sleep, flags: ['PERSISTENT'] }
const exits = (code: number) => ({ init: { argv: ['/bin/sh', '-c', `exit ${code}`] } })

/** As many as may connect at once. */
const COUNT = MOST_CONNECTIONS
/** More than a request to a busy machine takes. */
const PATIENCE_MS = 60_000

const threadsOf = (pid: number) => readdirSync(`/proc/${pid}/task`).length

async function started(t: Test, options: string[] = []): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('vserver', { emulator: options })
  t.teardown(() => daemon.cleanUp())
  // libuv starts its own threads at the first use of them.
  expect(201, await daemon.post('/contexts', { xid: 2, ...persistent }))
  expect(200, await daemon.post('/contexts/2/processes', { argv: ['/bin/true'], capture: true }))
  expect(204, await daemon.delete('/contexts/2?grace=0'))
  return daemon
}

async function waitOf(daemon: TestDaemon, xid: number): Promise<ExitReport> {
  return expect<ExitReport>(200, await daemon.post(`/contexts/${xid}/wait`))
}

void t.test(`${COUNT} contexts are waited for at once, and other calls go on`, needsRoot(), async (t) => {
  const daemon = await started(t)
  const xids = Array.from({ length: COUNT }, (_, index) => 1000 + index)
  for (const xid of xids) expect(201, await daemon.post('/contexts', { xid, ...persistent }))
  const threads = threadsOf(daemon.pid)

  let ended = 0
  const waits = xids.map((xid) => waitOf(daemon, xid).finally(() => ended++))
  await until('a thread for each', () => threadsOf(daemon.pid) === threads + COUNT, PATIENCE_MS)

  // The waits hold every connection of the test's own client.
  const list = await curl(daemon.socket, 'GET', '/contexts?limit=1')
  t.match(list, { status: 200, body: { next: 1000 } })
  t.match(await curl(daemon.socket, 'GET', '/contexts/1101/flags'), { status: 200 })
  t.match(await curl(daemon.socket, 'PATCH', '/contexts/1100/uname', { nodename: 'other' }), { status: 200 })
  const echo = { argv: ['/bin/echo', 'out'], capture: true }
  const captured = await curl(daemon.socket, 'POST', '/contexts/1101/processes', echo)
  t.match(captured, { status: 200, body: { stdout: 'out\n' } })
  t.equal(ended, 0, 'all wait still')

  for (const xid of xids) {
    const persistence = await curl(daemon.socket, 'PATCH', `/contexts/${xid}/flags`, { clear: ['PERSISTENT'] })
    const kill = await curl(daemon.socket, 'POST', `/contexts/${xid}/kill`, { signal: 'SIGKILL' })
    if (persistence.status !== 200 || kill.status !== 204) t.fail(`${xid}: ${JSON.stringify([persistence, kill])}`)
  }
  t.same(
    await Promise.all(waits),
    xids.map((xid) => ({
      xid,
      reboot_cmd: null,
      exit_code: null,
      term_signal: 'SIGKILL',
      raw_status: 9,
      oom_killed: null
    }))
  )
  t.same((await daemon.get('/contexts')).body, { contexts: [], next: null })
  await until('the threads are gone', () => threadsOf(daemon.pid) <= threads)
})

void t.test(
  'those who wait for one context share a thread, which the last of them ends',
  needsEmulator(),
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'contextd-trace-'))
    t.teardown(() => {
      rmSync(directory, { recursive: true })
    })
    const trace = join(directory, 'trace')
    const daemon = await started(t, [`--trace=${trace}`])
    const interrupted = () =>
      readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => line.endsWith('wait_exit(100) = -1 EINTR')).length
    await guestOf(t, daemon, { xid: 100, ...persistent })
    const threads = threadsOf(daemon.pid)

    const waiters = Array.from({ length: 20 }, () => hangsUp(daemon, '/contexts/100/wait'))
    await until('somebody waits', () => threadsOf(daemon.pid) > threads)
    await settled(daemon)
    t.equal(threadsOf(daemon.pid), threads + 1)
    const last = waiters.pop()
    for (const { hangUp } of waiters) hangUp()
    await settled(daemon)
    t.equal(threadsOf(daemon.pid), threads + 1, 'one waits still')
    t.equal(interrupted(), 0)

    last?.hangUp()
    await until('the thread is gone', () => threadsOf(daemon.pid) === threads)
    await until('the call is over', async () => {
      await settled(daemon) // the emulator sees at another call that this one was interrupted
      return interrupted() === 1
    })
    t.equal((await daemon.get('/contexts/100')).status, 200)

    const again = waitOf(daemon, 100)
    await until('it is waited for once more', () => threadsOf(daemon.pid) === threads + 1)
    expect(204, await daemon.delete('/contexts/100'))
    t.match(await again, { term_signal: 'SIGTERM' })
    await until('the thread is gone', () => threadsOf(daemon.pid) === threads)
    t.equal(interrupted(), 1)
  }
)

/** A request on a connection of its own, which the client can end. */
function hangsUp(daemon: TestDaemon, path: string): { hangUp: () => void } {
  const sent = request({ socketPath: daemon.socket, agent: false, method: 'POST', path })
  sent.on('error', () => undefined)
  sent.end()
  return { hangUp: () => sent.destroy() }
}

/** Returns when the daemon has seen what others did before: on new connections, for those are accepted in their order. */
async function settled(daemon: TestDaemon): Promise<void> {
  for (let round = 0; round < 10; round++) await daemon.get('/health', { headers: { connection: 'close' } })
}

void t.test('a wait with a limit lets the thread go when its time is up', needsRoot(), async (t) => {
  const daemon = await started(t)
  await guestOf(t, daemon, { xid: 100, ...persistent })
  const threads = threadsOf(daemon.pid)
  const replies = await Promise.all([0.05, 0.1].map((limit) => daemon.post(`/contexts/100/wait?timeout=${limit}`)))
  t.same(
    replies.map(({ status }) => status),
    [204, 204]
  )
  await until('the thread is gone', () => threadsOf(daemon.pid) === threads)
})

void t.test('a daemon that is told to stop answers those who wait, and ends well', needsRoot(), async (t) => {
  const daemon = await started(t)
  const replies: Promise<Reply>[] = []
  for (let xid = 100; xid < 110; xid++) {
    expect(201, await daemon.post('/contexts', { xid, ...(xid % 2 ? sleep : persistent) }))
    replies.push(daemon.post(`/contexts/${xid}/wait`), daemon.post(`/contexts/${xid}/wait`))
  }
  await settled(daemon)
  t.equal(await daemon.stop('SIGTERM'), 0)
  for (const reply of await Promise.all(replies)) t.equal(reply.status, 503, reply.text)
})

void t.test('a wait outlives everything else that the daemon does', needsRoot(), async (t) => {
  const daemon = await started(t)
  const script = 'trap "exit 42" TERM; echo >/tmp/ready; while :; do sleep 0.01; done'
  const guest = await guestOf(t, daemon, { xid: 100, init: { argv: ['/bin/sh', '-c', script] } })
  await until('the trap is set', async () => (await guest.shell('ls /tmp')).stdout === 'ready\n')
  const report = waitOf(daemon, 100)
  for (let round = 0; round < 20; round++) {
    const other = await guestOf(t, daemon, { ...exits(round), flags: ['PERSISTENT'] })
    await other.isEmpty()
    expect(204, await daemon.delete(other.path))
    t.equal((await guest.shell(`exit ${round}`)).exit_code, round)
  }
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  t.same(await report, {
    xid: 100,
    reboot_cmd: null,
    exit_code: 42,
    term_signal: null,
    raw_status: 42 << 8,
    oom_killed: null
  })
})

void t.test('the report of a context that nobody waited for is there for a late waiter', needsRoot(), async (t) => {
  const daemon = await started(t)
  expect(201, await daemon.post('/contexts', { xid: 100, ...exits(7) }))
  await until('it has ended', async () => (await daemon.get('/contexts/100')).status === 404)
  t.match(await waitOf(daemon, 100), { exit_code: 7 })
  t.match(await waitOf(daemon, 100), { exit_code: 7 }, 'as often as it is asked for')

  expect(201, await daemon.post('/contexts', { xid: 101, ...persistent }))
  expect(204, await daemon.delete('/contexts/101'))
  t.match(await waitOf(daemon, 101), { term_signal: 'SIGTERM' }, 'of a persistent one too')
  t.match(await daemon.post('/contexts/102/wait'), { status: 404, body: { errno: 'ESRCH' } })
})

void t.test('an xid that is used again at once always has the report of its latest context', needsRoot(), async (t) => {
  const daemon = await started(t)
  for (let code = 0; code < 100; code++) {
    // A context of the last round may be dead, but not gone yet.
    await until('the xid is free', async () => {
      const { status, text } = await daemon.post('/contexts', { xid: 100, ...exits(code) })
      if (status !== 201 && status !== 409) t.fail(text)
      return status === 201
    })
    const { exit_code } = await waitOf(daemon, 100)
    if (exit_code !== code) t.fail(`${exit_code} instead of ${code}`)
  }
  for (let code = 0; code < 100; code++) {
    const reply = await daemon.post('/contexts?wait=60', { xid: 100, ...exits(code) })
    const { exit_code } = expect<ExitReport>(200, reply)
    if (exit_code !== code) t.fail(`${exit_code} instead of ${code}, waited for from the start`)
  }
  t.pass('each of them')
})

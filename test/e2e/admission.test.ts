/** What one client can take from the others: every limit met, told with its status, and given back. */
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { asUser, curlAll, run } from '../support/command.js'
import { TestDaemon, type Reply, type StartOptions } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { Raw } from '../support/raw-http.js'
import { EventReader } from '../support/sse.js'

const USER = 23_456

async function started(t: Test, args: string[], options: StartOptions = {}): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { ...options, args })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const retryLater = (status: number, type: string) => ({
  status,
  headers: { 'retry-after': '1' },
  body: { status, type }
})

/** How many are under way, as /metrics says. */
async function used(daemon: TestDaemon, kind: string): Promise<number> {
  const { text } = await daemon.get('/metrics')
  return Number(new RegExp(`^contextd_slots_used\\{kind="${kind}"\\} (\\d+)$`, 'm').exec(text)?.[1])
}
const isFree = (daemon: TestDaemon, kind: string, left = 0) =>
  until(`no more than ${left} ${kind}`, async () => (await used(daemon, kind)) <= left)

void t.test('a head that comes byte by byte is cut off in time, though the client keeps its end open', async (t) => {
  const daemon = await started(t, ['--header-timeout', '1'])
  const slow = new Raw(t, daemon.socket, 'GET /health HTTP/1.1\r\nx: ')
  const drip = setInterval(() => slow.write('a'), 100)
  t.teardown(() => {
    clearInterval(drip)
  })
  const silent = new Raw(t, daemon.socket)
  for (const client of [slow, silent]) t.match(await client.closed(), /^HTTP\/1\.1 408 .*"status":408/s)
  await isFree(daemon, 'connections', 1)
})

void t.test('so is a body', async (t) => {
  const daemon = await started(t, ['--header-timeout', '1', '--request-timeout', '2'])
  const head = 'POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n'
  const slow = new Raw(t, daemon.socket, head)
  const drip = setInterval(() => slow.write(' '), 100)
  t.teardown(() => {
    clearInterval(drip)
  })
  t.match(await slow.closed(), /^HTTP\/1\.1 408 /)
  await isFree(daemon, 'requests', 1)
  await isFree(daemon, 'connections', 1)
})

void t.test('a connection that asks for nothing more is closed', async (t) => {
  const daemon = await started(t, ['--idle-timeout', '1'])
  const idle = new Raw(t, daemon.socket, 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
  t.match(await idle.closed(), /^HTTP\/1\.1 200 .*keep-alive: timeout=1/is)
})

void t.test('a client that does not take its answers is cut off; one that waits for something is not', async (t) => {
  const daemon = await started(t, ['--send-timeout', '1'])
  for (let xid = 100; xid < 200; xid++) expect(201, await daemon.post('/contexts', { xid }))
  const waiting = daemon.post('/contexts/100/wait')
  const reader = await EventReader.open(daemon.socket)
  t.teardown(() => {
    reader.close()
  })
  const deaf = connect(daemon.socket)
  t.teardown(() => deaf.destroy())
  deaf.on('error', () => undefined)
  deaf.pause().write('GET /contexts HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(50))
  await until('its answers are under way', async () => (await used(daemon, 'connections')) === 4)
  await isFree(daemon, 'connections', 3)
  expect(204, await daemon.delete('/contexts/100?grace=0'))
  expect(200, await waiting)
  await reader.has(1)
})

void t.test('what is too long is refused by what it is', async (t) => {
  const daemon = await started(t, ['--url-limit', '1000', '--header-limit', '8K', '--body-limit', '2048'])
  t.match(await daemon.get(`/contexts?name=${'a'.repeat(1000)}`), { status: 414, body: { type: 'too-large' } })
  t.equal((await daemon.get('/health', { headers: { x: 'a'.repeat(9000) } })).status, 431)
  t.match(await daemon.post('/contexts', { xid: 100, name: 'a'.repeat(2048) }), {
    status: 413,
    body: { type: 'too-large' }
  })
  expect(201, await daemon.post('/contexts', { xid: 100 }))
})

void t.test('the rest of a body whose answer is there is thrown away, up to a bound', async (t) => {
  const limits = ['--body-limit', '2048', '--header-timeout', '3600', '--request-timeout', '3600']
  const daemon = await started(t, limits)
  const head = 'POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  const next = 'GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  const rest = ' '.repeat(16 * 2048)
  const announced = new Raw(t, daemon.socket, `${head}content-length: ${rest.length}\r\n\r\n`)
  await until('it is answered', () => announced.text !== '')
  announced.write(rest + next)
  t.match(await announced.closed(), /^HTTP\/1\.1 413 .*HTTP\/1\.1 200 /s)

  const last = new Raw(t, daemon.socket, `${head}connection: close\r\ncontent-length: ${rest.length}\r\n\r\n`)
  t.match(await last.closed(), /^HTTP\/1\.1 413 .*connection: close/is)
  t.equal(await used(daemon, 'connections'), 2, 'its client may go on')
  last.write(rest)
  await isFree(daemon, 'connections', 1)

  const chunk = `800\r\n${' '.repeat(2048)}\r\n`
  const body = `${chunk.repeat(16)}0\r\n\r\n${next}`
  const chunked = new Raw(t, daemon.socket, `${head}transfer-encoding: chunked\r\n\r\n${body}`)
  t.match(await chunked.closed(), /^HTTP\/1\.1 413 .*HTTP\/1\.1 200 /s)

  for (const [what, part] of [
    ['POST /contexts HTTP/1.1\r\ntransfer-encoding: chunked', chunk],
    ['POST /contexts HTTP/1.1\r\ncontent-length: 1000000000', ' '.repeat(2048)],
    ['POST /contexts HTTP/1.1\r\nconnection: close\r\ncontent-length: 1000000000', ' '.repeat(2048)],
    ['POST /%zz HTTP/1.1\r\ncontent-length: 1000000000', ' '.repeat(2048)],
    ['GET /health HTTP/1.1\r\ncontent-length: 1000000000', ' '.repeat(2048)]
  ] as const) {
    const endless = new Raw(t, daemon.socket, `${what}\r\nhost: x\r\ncontent-type: application/json\r\n\r\n`)
    endless.write(part.repeat(2))
    await until('it is answered', () => endless.text !== '')
    let sent = 2
    const flood = setInterval(() => {
      endless.write(part)
      sent++
    }, 1)
    t.teardown(() => {
      clearInterval(flood)
    })
    await isFree(daemon, 'connections', 1)
    clearInterval(flood)
    t.ok(sent > 16, what)
  }
})

void t.test('a body that never ends after its answer is no request of its own', async (t) => {
  const daemon = await started(t, ['--body-limit', '2048', '--header-timeout', '1', '--request-timeout', '1'])
  const head = 'POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3000\r\n\r\n'
  const silent = new Raw(t, daemon.socket, head)
  t.match(await silent.closed(), /^HTTP\/1\.1 413 /)
  t.notMatch(silent.text, /HTTP\/1\.1 408/)
  t.match((await daemon.get('/metrics')).text, /^contextd_http_malformed_total 0$/m)

  const stopped = new Raw(t, daemon.socket, head)
  await until('it is answered', () => stopped.text !== '')
  t.equal(await daemon.stop(), 0)
  t.notMatch(daemon.stderr, /cut off/)
})

/** Each takes the last slot of its kind; then the next is told to come back, and gets it when the first has gone. */
const long: {
  kind: string
  args: string[]
  hold: (daemon: TestDaemon) => () => void
  ask: (daemon: TestDaemon) => Promise<Reply>
}[] = [
  {
    kind: 'waiters',
    args: ['--waiters', '1'],
    hold: (daemon) => hang(daemon, '/contexts/100/wait'),
    ask: (daemon) => daemon.post('/contexts/100/wait?timeout=0')
  },
  {
    kind: 'waiters',
    args: ['--waiters', '1'],
    hold: (daemon) => hang(daemon, '/contexts?wait=1000', { xid: 300, init: { argv: ['sleep', '1000'] } }),
    ask: (daemon) => daemon.post('/contexts?wait=1', { xid: 301, init: { argv: ['true'] } })
  },
  {
    kind: 'captures',
    args: ['--captures', '1'],
    hold: (daemon) => {
      void daemon.post('/contexts/100/processes', { argv: ['sleep', '1000'], capture: true })
      return () => void daemon.post('/contexts/100/kill', { pid: -1, signal: 'SIGKILL' })
    },
    ask: (daemon) => daemon.post('/contexts/100/processes', { argv: ['true'], capture: true })
  }
]

/** @returns what hangs up */
function hang(daemon: TestDaemon, path: string, body?: unknown): () => void {
  const request = daemon.open(
    'POST',
    path,
    body,
    {},
    () => undefined,
    () => undefined
  )
  return () => request.destroy()
}

for (const { kind, args, hold, ask } of long)
  void t.test(`${kind}: one more than there may be comes later`, async (t) => {
    const daemon = await started(t, args)
    expect(201, await daemon.post('/contexts', { xid: 100, flags: ['PERSISTENT'], init: { argv: ['sleep', '1000'] } }))
    const release = hold(daemon)
    await until('the slot is taken', async () => (await used(daemon, kind)) === 1)
    t.match(await ask(daemon), retryLater(503, 'busy'))
    t.equal((await daemon.get('/contexts/301')).status, 404, 'nothing was done')
    release()
    await isFree(daemon, kind)
    t.ok((await ask(daemon)).status < 300)
    await isFree(daemon, kind)
  })

void t.test('requests under way: one more than there may be comes later, and waits are not counted', async (t) => {
  const daemon = await started(t, ['--requests', '16'])
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const waits = Array.from({ length: 20 }, () => daemon.post('/contexts/100/wait'))
  await until('they wait', async () => (await used(daemon, 'waiters')) === 20)
  const body = '{"xid":200}'
  const head = `POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  const unfinished = Array.from({ length: 16 }, () => new Raw(t, daemon.socket, head))
  const refused = await until('all are taken', async () => {
    const reply = await daemon.get('/health')
    return reply.status === 200 ? undefined : reply
  })
  t.match(refused, retryLater(503, 'busy'))
  for (const one of unfinished) one.write(body)
  await isFree(daemon, 'requests', 1)
  t.equal(unfinished.filter(({ text }) => text.startsWith('HTTP/1.1 201 ')).length, 1)
  expect(204, await daemon.delete('/contexts/100?grace=0'))
  for (const wait of waits) expect(200, await wait)
})

const everybody = { rules: [{ users: ['*'], actions: ['all'], contexts: ['all'] }] }

/** Opens so many connections at once, and prints the first line that each gets. */
const connections = `
  const [path, count] = process.argv.slice(1)
  for (let n = 0; n < count; n++)
    require('net').connect(path).on('data', (data) => console.log(String(data).split('\\r\\n')[0])).on('error', () => {})
`

void t.test('connections: a user has half of all, root all of them', needsRoot(), async (t) => {
  const daemon = await started(t, ['--connections', '16', '--header-timeout', '3600', '--request-timeout', '3600'], {
    policy: everybody
  })
  const [file, ...args] = [...asUser(USER), process.execPath, '-e', connections, daemon.socket, '10']
  const user = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => user.kill())
  let told = ''
  user.stdout.setEncoding('utf8').on('data', (part: string) => (told += part))
  await until('two too many', () => told.split('\n').length === 3)
  t.equal(told, 'HTTP/1.1 429 Too Many Requests\n'.repeat(2))
  expect(200, await daemon.get('/health'))

  const open = Array.from({ length: 7 }, () => new Raw(t, daemon.socket))
  for (const one of open) await one.connected
  await until('all are taken', async () => (await used(daemon, 'connections')) === 16)
  t.match(await new Raw(t, daemon.socket).closed(), /^HTTP\/1\.1 503 .*retry-after: 1.*"type":"busy"/s)
  user.kill()
  await isFree(daemon, 'connections', 8)
})

void t.test(
  'a user who asks too often is told so, root is not, and neither fills the audit log',
  needsRoot(),
  async (t) => {
    const daemon = await started(t, ['--rate-limit', '1'], { policy: everybody })
    const post = { method: 'POST', path: '/contexts', body: {}, headers: ['x: y'] }
    const asked = Array.from({ length: 200 }, () => post)
    const answers = await curlAll(daemon.socket, asked, asUser(USER))
    const refused = answers.filter(({ status }) => status === 429)
    t.ok(refused.length > 0)
    for (const { body } of refused) t.match(body, { type: 'rate-limit', detail: /^uid 23456 / })
    const made = answers.filter(({ status }) => status === 201).length
    t.equal(made + refused.length, asked.length)
    const { text } = await daemon.get('/contexts')
    t.equal((JSON.parse(text) as { contexts: unknown[] }).contexts.length, made, 'what was refused was not done')
    t.ok(daemon.audit().length < 100, 'denials beyond a few are counted')

    const { stdout } = await run('curl', [
      '-si',
      '--unix-socket',
      daemon.socket,
      ...Array<string>(50).fill('http://localhost/health')
    ])
    t.equal(stdout.split('HTTP/1.1 200 OK').length, 51)
  }
)

/** The socket's file, who may use it, and how it ends. */
import { once } from 'node:events'
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { asUser, contextd, curl, curlAll, serving } from '../support/command.js'
import { TestDaemon, type StartOptions } from '../support/daemon.js'
import { folder } from '../support/folder.js'
import { guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

const modeOf = (path: string) => (lstatSync(path).mode & 0o7777).toString(8)

async function started(t: Test, driver = 'memory', options?: StartOptions): Promise<TestDaemon> {
  const daemon = await TestDaemon.start(driver, options)
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const argsFor = (socket: string) => [
  ...['--driver', 'memory', '--socket', socket],
  ...['--audit-log', `${socket.split(',')[0]}.audit.log`]
]
const serve = (socket: string) => contextd(['serve', ...argsFor(socket)])

void t.test('the socket has mode 0660 and the directory made for it 0750', async (t) => {
  const before = process.umask(0)
  const daemon = await started(t)
  process.umask(before)
  t.equal(modeOf(daemon.socket), '660')
  t.equal(modeOf(dirname(daemon.socket)), '750')
  t.ok(lstatSync(daemon.socket).isSocket())
})

void t.test('a directory that exists keeps its mode', async (t) => {
  const directory = folder(t)
  chmodSync(directory, 0o711)
  const daemon = await started(t, 'memory', { socket: join(directory, 'contextd.sock') })
  t.equal(modeOf(directory), '711')
  t.equal(modeOf(daemon.socket), '660')
})

void t.test('the socket of a daemon that was killed is replaced', async (t) => {
  const daemon = await started(t)
  await daemon.stop('SIGKILL')
  t.ok(lstatSync(daemon.socket).isSocket(), 'it was left behind')
  await daemon.boot()
  t.equal((await daemon.get('/health')).status, 200)
})

void t.test('the socket of a live daemon is not taken', async (t) => {
  const daemon = await started(t)
  const { code, stderr } = await serve(daemon.socket)
  t.equal(code, 1)
  t.match(stderr, `another contextd serves ${daemon.socket}`)
  t.match(await daemon.get('/version'), { body: { pid: daemon.pid } })
})

void t.test('the socket of another program that listens is not taken', async (t) => {
  const socket = join(folder(t), 'other.sock')
  const server = createServer().listen(socket)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { code, stderr } = await serve(socket)
  t.equal(code, 1)
  t.match(stderr, `another program serves ${socket}`)
  t.ok(lstatSync(socket).isSocket())
})

void t.test('what is no socket is not touched', async (t) => {
  const directory = folder(t)
  writeFileSync(join(directory, 'file'), 'precious')
  mkdirSync(join(directory, 'directory'))
  for (const name of ['file', 'directory']) {
    const { code, stderr } = await serve(join(directory, name))
    t.equal(code, 1)
    t.match(stderr, /exists and is not a socket/)
  }
  t.equal(readFileSync(join(directory, 'file'), 'utf8'), 'precious')
})

void t.test('of four starts at once one serves and the others fail', async (t) => {
  const socket = join(folder(t), 'contextd.sock')
  const daemons = [0, 1, 2, 3].map(() => serving(argsFor(socket)))
  t.teardown(() => {
    for (const daemon of daemons) daemon.kill('SIGKILL')
  })
  await until('three have ended', () => daemons.filter(({ exitCode }) => exitCode !== null).length === 3, 60_000)
  const failed = daemons.filter(({ exitCode }) => exitCode !== null)
  for (const daemon of failed) {
    t.equal(daemon.exitCode, 1)
    t.match(daemon.output(), /another contextd serves/)
  }
  const [left] = daemons.filter(({ exitCode }) => exitCode === null)
  await until(
    'the last one answers',
    async () => (await curl(socket, 'GET', '/version').catch(() => undefined))?.status === 200
  )
  t.match(await curl(socket, 'GET', '/version'), { body: { pid: left?.pid } })
})

void t.test('a path that is too long for a socket is refused in plain words', async (t) => {
  const { code, stderr } = await serve(join(folder(t), 'x'.repeat(108)))
  t.equal(code, 1)
  t.match(stderr, /socket path is over 107 bytes/)
})

void t.test('SIGTERM and SIGINT end the daemon with code 0, its socket goes and its lock is free', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const daemon = await started(t)
    t.equal(await daemon.stop(signal), 0)
    t.notOk(existsSync(daemon.socket))
    await daemon.boot()
    t.equal((await daemon.get('/health')).status, 200)
  }
})

void t.test('waiters hear that the daemon stops, and when to ask again', async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { xid: 100, init: { argv: ['/bin/sleep', '1000'] }, flags: ['PERSISTENT'] })
  const waiters = [0, 1, 2].map(() => daemon.post('/contexts/100/wait'))
  await guest.hasWaiters(3)
  t.equal(await daemon.stop('SIGTERM'), 0)
  for (const answer of await Promise.all(waiters))
    t.match(answer, { status: 503, headers: { 'retry-after': /^\d+$/ }, body: { type: 'stopping', status: 503 } })
  await daemon.boot() // for the teardown of the guest
})

void t.test('a captured process does not keep the daemon from stopping', needsRoot(), async (t) => {
  const daemon = await started(t, 'namespaces')
  const guest = await guestOf(t, daemon)
  const lost = guest.shell('sleep 1000').catch((error: unknown) => error)
  await until('it runs', async () => (await guest.processes()).length > 0)
  t.equal(await daemon.stop('SIGTERM'), 0)
  t.ok((await lost) instanceof Error)
  await daemon.boot()
  t.notMatch(daemon.stderr, /cut off/, 'it was not waited for until the time of a stop was up')
})

void t.test('a user whom nobody has allowed anything gets no answer but that', needsRoot(), async (t) => {
  const daemon = await started(t)
  for (const path of [daemon.directory, dirname(daemon.socket)]) chmodSync(path, 0o755)
  chmodSync(daemon.socket, 0o666)
  await daemon.post('/contexts', { xid: 100 })
  const before = daemon.audit().length
  const requests = [
    ['GET', '/'],
    ['GET', '/version'],
    ['GET', '/openapi.json'],
    ['GET', '/docs/'],
    ['GET', '/contexts'],
    ['GET', '/contexts/100'],
    ['GET', '/contexts/101'],
    ['GET', '/tasks/1'],
    ['GET', '/nowhere'],
    ['POST', '/contexts/100/wait?timeout=0'],
    ['POST', '/contexts', { xid: 101 }],
    ['PUT', '/contexts/100', {}],
    ['DELETE', '/contexts/100'],
    ['PUT', '/contexts/100/flags', { names: [] }],
    ['PATCH', '/contexts/100/bcaps', { set: [] }],
    ['PATCH', '/contexts/100/uname', { nodename: 'x' }],
    ['PUT', '/contexts/100/uname/nodename', { value: 'x' }],
    ['POST', '/contexts/100/kill', { signal: 9 }],
    ['POST', '/contexts/100/processes', { argv: ['/bin/true'] }]
  ] as const
  const answers = await curlAll(
    daemon.socket,
    requests.map(([method, path, body]) => ({ method, path, body })),
    asUser(65534, 65533)
  )
  answers.forEach((answer, index) => {
    t.match(
      answer,
      { status: 403, body: { type: 'forbidden', detail: /^uid 65534 lacks the action / } },
      String(requests[index]?.[1])
    )
  })
  const denied = daemon.audit().slice(before) as object[]
  t.equal(denied.length, requests.length, 'each is in the audit log')
  denied.forEach((record, index) => {
    const [method, path] = requests[index] ?? []
    matches(t, record, { method, path, status: 403, calls: [], caller: { uid: 65534, gid: 65533 } })
  })
  t.match(await daemon.get('/contexts'), { body: { contexts: { length: 1 } } })
})

void t.test(
  'a process inside a context that gets at the socket is not served, not even to read',
  needsRoot(),
  async (t) => {
    const root = guestRoot(t, ['/bin/sleep', '/usr/bin/curl'])
    const daemon = await started(t, 'namespaces', { socket: join(root, 'run', 'contextd.sock') })
    const guest = await guestOf(t, daemon, { root, init: { argv: ['/bin/sleep', '1000'] } })
    const ask = async (...args: string[]) => {
      const { stdout } = await guest.capture(['/usr/bin/curl', '-s', '--unix-socket', '/run/contextd.sock', ...args])
      return JSON.parse(stdout) as unknown
    }
    const refused = { type: 'inside-context', status: 403, detail: new RegExp(`context ${guest.xid}`) }
    t.match(await ask('http://localhost/contexts'), refused)
    t.match(await ask('-X', 'DELETE', `http://localhost/contexts/${guest.xid}`), refused)
    const records = daemon.audit() as { method: string; status: number; caller: { pid: number } }[]
    matches(
      t,
      records.filter(({ method }) => method === 'DELETE'),
      [{ status: 403, caller: { uid: 0 } }]
    )
  }
)

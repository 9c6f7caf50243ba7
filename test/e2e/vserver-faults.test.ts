/**
 * Every command of vserver(2) that a creation or a process needs fails once, with several errnos: the answer says so,
 * and nothing is left behind. The emulator makes the calls fail.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Context, ExitReport } from '../../daemon/schemas/context.js'
import type { Problem } from '../../daemon/schemas/problem.js'
import { needsEmulator } from '../support/emulator.js'
import { TestDaemon, type Reply } from '../support/daemon.js'
import { expect, Guest } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { descriptorsOf, isIdle } from '../support/proc.js'

t.setTimeout(FILE_LIMIT_MS)

const XID = 100
const statuses: Record<string, number> = { EAGAIN: 503, ENOMEM: 503, EPERM: 403, EFAULT: 409, EINVAL: 422 }
const errnos = Object.keys(statuses)

/** A command that only guests of this test run. */
const sleeper = ['/bin/sleep', `1000.${process.pid}`]

interface Fault {
  /** Which call, for people. */
  name: string
  command: string
  /** Which of an attempt's calls of the command fails. */
  nth?: number
  /** How many calls of the command a failed attempt makes in all, clearing up included. */
  each?: number
}

/** The options that make this call fail in each of the first attempts, each time with another errno. */
const failures = ({ command, nth = 1, each = nth }: Fault, before = 0): string[] =>
  errnos.flatMap((errno, attempt) => ['--fail', `${command}=${errno}:${before + each * attempt + nth}`])

async function started(t: Test, options: string[]): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('vserver', { emulator: options })
  t.teardown(() => daemon.cleanUp())
  // The connection that all requests share, and the launcher that is always ready.
  await daemon.get('/health')
  await until('a launcher is ready', () => isIdle(daemon.pid))
  return daemon
}

/** Where this daemon's kernel lists its contexts. */
function procVirtualOf(daemon: TestDaemon): string {
  const environment = readFileSync(`/proc/${daemon.pid}/environ`, 'utf8').split('\0')
  return environment.find((entry) => entry.startsWith('CONTEXTD_PROC_VIRTUAL='))?.split('=')[1] ?? ''
}

function sleepersOf(argv: string[]): string[] {
  const wanted = argv.join('\0') + '\0'
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8') === wanted
    } catch {
      return false // it has ended meanwhile
    }
  })
}

/** What a daemon has when it has nothing to do. */
interface Idle {
  descriptors: number
  threads: number
}

const idleNow = ({ pid }: TestDaemon): Idle => ({
  descriptors: descriptorsOf(pid).length,
  threads: readdirSync(`/proc/${pid}/task`).length
})

/** Nothing of an attempt is there any more. */
async function isAsBefore(t: Test, daemon: TestDaemon, idle: Idle): Promise<void> {
  t.same(expect<{ contexts: Context[] }>(200, await daemon.get('/contexts')).contexts, [], 'no context')
  t.same(
    readdirSync(procVirtualOf(daemon)).filter((name) => /^\d+$/.test(name)),
    [],
    'nothing in the list of the kernel'
  )
  t.same(readdirSync(join(daemon.stateDir, 'contexts')), [], 'no record')
  t.same(sleepersOf(sleeper), [], 'no process')
  await hasNoMore(daemon, idle)
}

/** No launcher, descriptor or thread more than before. */
async function hasNoMore(daemon: TestDaemon, idle: Idle): Promise<void> {
  await until('no launcher works', () => isIdle(daemon.pid))
  await until(`${JSON.stringify(idle)}, not ${JSON.stringify(idleNow(daemon))}`, () => {
    const now = idleNow(daemon)
    return now.descriptors <= idle.descriptors && now.threads <= idle.threads
  })
}

function isFailureOf(t: Test, reply: Reply, errno: string, call: string, status = statuses[errno]): void {
  const expected: Partial<Problem> = { type: errno.toLowerCase(), status: status ?? 0, errno, call, xid: XID }
  t.match({ status: reply.status, body: reply.body as unknown }, { status, body: { ...expected, detail: /./ } }, errno)
  t.match(reply.headers['content-type'], /^application\/problem\+json/)
  t.equal(reply.headers['retry-after'], status === 503 ? '1' : undefined)
}

const whole = {
  xid: XID,
  name: 'faulty',
  uname: { nodename: 'faulty', domainname: 'example.org' },
  flags: ['PERSISTENT'],
  bcaps: ['CHOWN', 'KILL'],
  ccaps: ['SET_UTSNAME'],
  init: { argv: sleeper }
}

/** As `whole`, but it ends with its init. */
const mortal = { ...whole, flags: [] }

/** In the order in which they are made. */
const ofCreation: (Fault & { body?: object })[] = [
  { name: 'the question whether the xid is free', command: 'vx_info' },
  { name: 'the same before the launcher is asked', command: 'vx_info', nth: 2 },
  { name: 'the making of the context', command: 'ctx_create' },
  { name: 'the keeping of its namespaces', command: 'set_space' },
  { name: 'its system capabilities', command: 'set_bcaps' },
  { name: 'its context capabilities', command: 'set_ccaps' },
  { name: 'its name', command: 'set_vhi_name' },
  { name: 'its last name', command: 'set_vhi_name', nth: 3 },
  // The second time it is asked whether the context is still persistent, when it is removed.
  { name: 'the flags before its init enters', command: 'get_cflags' },
  { name: "the entry into the context's namespaces", command: 'enter_space' },
  { name: 'the entry into the context', command: 'ctx_migrate' },
  // The second time PERSISTENT is cleared, when it is removed.
  { name: 'the end of its setup, from inside', command: 'set_cflags', each: 2 },
  { name: 'the end of the persistence', command: 'set_cflags', nth: 2, each: 3, body: mortal },
  { name: 'what is read for the answer', command: 'get_bcaps' },
  { name: 'the end of that', command: 'get_ccaps' },
  { name: 'its age, which goes into its record', command: 'virt_stat', nth: 2 }
]

for (const { body = whole, ...fault } of ofCreation) {
  const title = `nothing is left of a creation when ${fault.command} fails: ${fault.name}`
  void t.test(title, needsEmulator(), async (t) => {
    const daemon = await started(t, failures(fault))
    const idle = idleNow(daemon)
    for (const errno of errnos) {
      isFailureOf(t, await daemon.post('/contexts', body), errno, fault.command)
      await isAsBefore(t, daemon, idle)
    }
    t.match(await daemon.post('/contexts', body), { status: 201, body: { xid: XID, state: 'running' } })
    expect(204, await daemon.delete(`/contexts/${XID}?grace=0`))
    await isAsBefore(t, daemon, idle)
  })
}

/** The first process of a private context is let in by opening it for a moment. */
const privateFaults: Fault[] = [
  { name: 'the opening for its init', command: 'set_cflags', each: 3 },
  { name: 'the closing behind its init', command: 'set_cflags', nth: 2, each: 4 }
]

for (const fault of privateFaults) {
  void t.test(`nothing is left of a private context: ${fault.name} fails`, needsEmulator(), async (t) => {
    const daemon = await started(t, failures(fault))
    const idle = idleNow(daemon)
    const body = { ...whole, flags: ['PERSISTENT', 'INFO_PRIVATE'] }
    for (const errno of errnos) {
      isFailureOf(t, await daemon.post('/contexts', body), errno, fault.command)
      await isAsBefore(t, daemon, idle)
    }
    t.match(await daemon.post('/contexts', body), { status: 201 })
    t.ok(await hasFlag(daemon, 'INFO_PRIVATE'))
    expect(204, await daemon.delete(`/contexts/${XID}?grace=0`))
    await isAsBefore(t, daemon, idle)
  })
}

async function hasFlag(daemon: TestDaemon, flag: string): Promise<boolean> {
  const { names } = expect<{ names: string[] }>(200, await daemon.get(`/contexts/${XID}/flags`))
  return names.includes(flag)
}

void t.test(
  'an xid that somebody takes meanwhile is a conflict, or the next one is taken',
  needsEmulator(),
  async (t) => {
    const daemon = await started(t, [
      ...['--fail', 'ctx_create=EEXIST:1', '--fail', 'ctx_create=EBUSY:2', '--fail', 'ctx_create=ENOEXEC:3'],
      ...['--fail', 'ctx_create=EEXIST:4', '--fail', 'ctx_create=EBUSY:5']
    ])
    const idle = idleNow(daemon)
    isFailureOf(t, await daemon.post('/contexts', whole), 'EEXIST', 'ctx_create', 409)
    isFailureOf(t, await daemon.post('/contexts', whole), 'EEXIST', 'ctx_create', 409)
    isFailureOf(t, await daemon.post('/contexts', whole), 'ENOEXEC', 'ctx_create', 422)
    await isAsBefore(t, daemon, idle)
    const { xid } = expect<Context>(201, await daemon.post('/contexts', {}))
    t.equal(xid, 49154, '49152 and 49153 were not free')
  }
)

/** How often a creation of `whole` calls what is called again afterwards. */
const inCreation: Record<string, number> = {
  vx_info: 4,
  get_cflags: 2,
  enter_space: 1,
  ctx_migrate: 1,
  ctx_stat: 1,
  virt_stat: 2,
  get_vhi_name: 7,
  get_bcaps: 2, // the launcher asks too
  get_ccaps: 1,
  set_cflags: 1,
  set_bcaps: 1,
  set_ccaps: 1,
  set_vhi_name: 3
}

const ofProcess: Fault[] = [
  { name: 'the question whether the context is there', command: 'vx_info' },
  { name: 'the flags', command: 'get_cflags' },
  { name: "the entry into the context's namespaces", command: 'enter_space' },
  { name: 'the entry into the context', command: 'ctx_migrate' }
]

for (const capture of [false, true]) {
  const how = capture ? 'captured' : 'left alone'
  void t.test(`a process, ${how}, that cannot enter leaves the context as it was`, needsEmulator(), async (t) => {
    const options = ofProcess.flatMap((fault) => failures(fault, inCreation[fault.command]))
    const daemon = await started(t, options)
    expect(201, await daemon.post('/contexts', whole))
    await until('a launcher is ready', () => isIdle(daemon.pid))
    const idle = idleNow(daemon)
    const argv = ['/bin/sleep', `2000.${process.pid}`]
    for (const { command, name } of ofProcess) {
      for (const errno of errnos) {
        isFailureOf(t, await daemon.post(`/contexts/${XID}/processes`, { argv, capture }), errno, command)
        t.same(sleepersOf(argv), [], `${name}: no process`)
        t.equal(sleepersOf(sleeper).length, 1, 'the init is there')
        await hasNoMore(daemon, idle)
      }
    }
    t.match(await new Guest(daemon, XID).capture(['/bin/echo', 'in']), { stdout: 'in\n', exit_code: 0 })
    matches(t, await new Guest(daemon, XID).context(), { state: 'running', bcaps: { names: ['CHOWN', 'KILL'] } })
    await hasNoMore(daemon, idle)
  })
}

for (const flags of [['PERSISTENT'], ['PERSISTENT', 'INFO_PRIVATE']]) {
  const isPrivate = flags.includes('INFO_PRIVATE')
  const title = `a ${isPrivate ? 'private ' : ''}context whose first process cannot end the setup stays in setup`
  void t.test(title, needsEmulator(), async (t) => {
    const fault = isPrivate ? { nth: 2, each: 3 } : { nth: 1, each: 1 }
    const daemon = await started(t, failures({ name: 'the end of the setup', command: 'set_cflags', ...fault }))
    expect(201, await daemon.post('/contexts', { xid: XID, flags }))
    const guest = new Guest(daemon, XID)
    await until('a launcher is ready', () => isIdle(daemon.pid))
    const idle = idleNow(daemon)
    for (const errno of errnos) {
      const reply = await daemon.post(`${guest.path}/processes`, { argv: sleeper })
      isFailureOf(t, reply, errno, 'set_cflags')
      t.same(sleepersOf(sleeper), [], 'no process')
      await hasNoMore(daemon, idle)
      t.equal((await guest.context()).state, 'setup')
      t.equal(await hasFlag(daemon, 'INFO_PRIVATE'), isPrivate)
    }
    const argv = ['/bin/echo', 'in']
    t.match(await guest.capture(argv), { stdout: 'in\n', exit_code: 0 }, 'the next one ends it')
    t.notOk(await hasFlag(daemon, 'STATE_SETUP'))
    t.equal(await hasFlag(daemon, 'INFO_PRIVATE'), isPrivate)
  })
}

interface Attempt {
  method: string
  path: string
  body?: object
  command: string
}

/** Each command once, in an order in which what fails later is not called before. */
const attempts: Attempt[] = [
  { method: 'GET', path: '/flags', command: 'get_cflags' },
  { method: 'GET', path: '/bcaps', command: 'get_bcaps' },
  { method: 'GET', path: '/ccaps', command: 'get_ccaps' },
  { method: 'GET', path: '/info', command: 'vx_info' },
  { method: 'GET', path: '/stat', command: 'ctx_stat' },
  { method: 'GET', path: '/stat', command: 'virt_stat' },
  { method: 'GET', path: '/uname/nodename', command: 'get_vhi_name' },
  { method: 'GET', path: '/processes', command: 'ctx_migrate' },
  { method: 'PUT', path: '/flags', body: { names: ['PERSISTENT', 'VIRT_LOAD'] }, command: 'set_cflags' },
  { method: 'PUT', path: '/bcaps', body: { names: [] }, command: 'set_bcaps' },
  { method: 'PUT', path: '/ccaps', body: { names: [] }, command: 'set_ccaps' },
  { method: 'PUT', path: '/uname/nodename', body: { value: 'other' }, command: 'set_vhi_name' },
  { method: 'POST', path: '/kill', body: { signal: 'SIGKILL' }, command: 'ctx_kill' },
  { method: 'POST', path: '/wait', command: 'wait_exit' }
]

/** Of a name that a context does not have; it is null then. */
const isAnswer = (command: string, errno: string) => command === 'get_vhi_name' && errno === 'EINVAL'

void t.test('a call that fails is answered as what it is, and changes nothing', needsEmulator(), async (t) => {
  const options = attempts.flatMap(({ command }) => failures({ name: '', command }, inCreation[command] ?? 0))
  const daemon = await started(t, options)
  const before = expect<Context>(201, await daemon.post('/contexts', whole))
  await until('a launcher is ready', () => isIdle(daemon.pid))
  const idle = idleNow(daemon)
  for (const { method, path, body, command } of attempts) {
    for (const errno of errnos) {
      const reply = await daemon.request(method, `/contexts/${XID}${path}`, body)
      if (isAnswer(command, errno)) matches(t, reply, { status: 200, body: { value: null } })
      else isFailureOf(t, reply, errno, command)
    }
  }
  await hasNoMore(daemon, idle)
  t.same(await new Guest(daemon, XID).context(), before)
})

void t.test('a context whose removal fails can be removed again', needsEmulator(), async (t) => {
  const commands = ['vx_info', 'get_cflags', 'set_cflags', 'ctx_kill']
  const options = commands.flatMap((command) => failures({ name: '', command }, inCreation[command] ?? 0))
  const daemon = await started(t, options)
  const idle = idleNow(daemon)
  expect(201, await daemon.post('/contexts', whole))
  for (const command of commands) {
    for (const errno of errnos) {
      isFailureOf(t, await daemon.delete(`/contexts/${XID}`), errno, command)
      t.equal(sleepersOf(sleeper).length, 1, 'the init is there')
    }
  }
  expect(204, await daemon.delete(`/contexts/${XID}`))
  t.match(await daemon.post(`/contexts/${XID}/wait`), { status: 200, body: { term_signal: 'SIGTERM' } })
  await isAsBefore(t, daemon, idle)
})

void t.test('a wait of the daemon itself that fails is no harm to the context', needsEmulator(), async (t) => {
  const daemon = await started(t, ['--fail', 'wait_exit=EAGAIN:1'])
  expect(201, await daemon.post('/contexts', mortal))
  const report = daemon.post(`/contexts/${XID}/wait`)
  await daemon.get('/health')
  expect(204, await daemon.post(`/contexts/${XID}/kill`, { signal: 'SIGKILL' }))
  t.match(expect<ExitReport>(200, await report), { xid: XID, term_signal: 'SIGKILL' })
})

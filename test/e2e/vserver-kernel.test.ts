/**
 * What a Linux-VServer kernel does otherwise than one would think: procfs that cannot be mounted on itself, waiters that
 * reboot(2) has run instead of sleep, listings that are no snapshots, helpers that nobody waits for.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { setTimeout as sleepFor } from 'node:timers/promises'
import type { HelperRecord } from '../../daemon/audit/record.js'
import type { Context } from '../../daemon/schemas/context.js'
import { TestDaemon } from '../support/daemon.js'
import { rerunEmulated } from '../support/emulator.js'
import { expect, Guest, guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'
import { EventReader } from '../support/sse.js'

t.setTimeout(FILE_LIMIT_MS)

if (!needsRoot().skip) rerunEmulated(import.meta.url)

const sleep = { argv: ['/bin/sleep', '1000'] }

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('vserver', { vshelper: true })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

/** Exits with the errno. */
const reboot = (word: number) => ['perl', '-e', `exit(syscall(169, 0xfee1dead, 672274793, ${word}, 0) < 0 ? $!+0 : 0)`]
const EPERM = 1

const commands: [name: string, word: number, action: string][] = [
  ['RESTART', 0x01234567, 'restart'],
  ['HALT', 0xcdef0123, 'halt'],
  ['POWER_OFF', 0x4321fedc, 'poweroff'],
  ['SW_SUSPEND', 0xd000fce2, 'swsusp']
]

const statesOf = ({ pid }: TestDaemon) =>
  readdirSync(`/proc/${pid}/task`)
    .filter((tid) => Number(tid) !== pid)
    .map((tid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8')
        return stat.charAt(stat.lastIndexOf(')') + 2)
      } catch {
        return 'X' // it has ended
      }
    })

/** No thread beside the main one runs for a while. */
async function isQuiet(daemon: TestDaemon): Promise<void> {
  const SAMPLES = 20
  let quiet = 0
  await until('no thread spins', async () => {
    quiet = statesOf(daemon).includes('R') ? 0 : quiet + 1
    await sleepFor(5)
    return quiet >= SAMPLES
  })
}

const helperCalls = (daemon: TestDaemon) =>
  (daemon.audit() as HelperRecord[]).filter(({ event }) => (event as string | undefined) === 'helper')

void t.test(
  "without a root of its own a guest has one /proc, and nothing of the host's below it",
  needsRoot(),
  async (t) => {
    const daemon = await started(t)
    const guest = await guestOf(t, daemon, { init: sleep })
    const mounts = (await guest.shell('cat /proc/self/mountinfo')).stdout.split('\n').map((line) => line.split(' '))
    const onProc = mounts.filter(([, , , , path = '']) => path === '/proc')
    t.equal(onProc.length, 1)
    t.match(onProc[0]?.join(' '), / - proc /)
    t.match(await guest.shell('cat /proc/self/comm; cat /proc/uptime >/dev/null; ls /proc/self/fd >/dev/null'), {
      stdout: 'cat\n'
    })
    t.same(
      mounts.filter(([, , , , path = '']) => path.startsWith('/proc/sys/') && path !== '/proc/sys'),
      []
    )
  }
)

const helpers = [
  { helper: 'a helper', records: true, isRefused: false },
  { helper: 'a helper that fails', records: false, isRefused: false },
  { helper: 'no helper', records: false, isRefused: true }
]
for (const { helper, records, isRefused } of helpers) {
  async function withHelper(t: Test): Promise<TestDaemon> {
    const daemon = await started(t)
    if (records) daemon.writeHelper()
    else if (!isRefused) daemon.writeHelper('exit 1')
    return daemon
  }

  /** It was told of once, before what came after it. */
  async function isTold(t: Test, daemon: TestDaemon, guest: Guest, action: string): Promise<void> {
    if (!records) return
    const told = () => helperCalls(daemon).filter((call) => call.xid === guest.xid && call.action === action)
    await until(`${action} is told`, () => told().length > 0)
    t.equal(told().length, 1)
  }

  void t.test(`with ${helper}, reboot(2) that ends nothing leaves the context as it was`, needsRoot(), async (t) => {
    const daemon = await withHelper(t)
    for (const [name, word, action] of commands) {
      const guest = await guestOf(t, daemon, { init: sleep })
      const waiter = daemon.post(`${guest.path}/wait?timeout=60`)
      t.equal((await guest.capture(reboot(word))).exit_code, isRefused ? EPERM : 0, name)
      await isQuiet(daemon)
      t.match(await daemon.patch(`${guest.path}/flags`, { set: ['PERSISTENT'] }), { status: 200 })
      t.match(await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] }), { status: 200 })
      t.equal((await guest.kill(0, 1)).status, 204)
      await isTold(t, daemon, guest, action)
      t.equal((await daemon.delete(guest.path)).status, 204)
      matches(t, await waiter, { status: 200, body: { reboot_cmd: isRefused ? null : name, term_signal: 'SIGTERM' } })
    }
  })

  void t.test(`with ${helper}, reboot(2) again and again holds up no call`, needsRoot(), async (t) => {
    const daemon = await withHelper(t)
    const [, word] = commands[0] ?? ['', 0]
    const script = `while (1) { syscall(169, 0xfee1dead, 672274793, ${word}, 0); select undef, undef, undef, 0.02 }`
    const guest = await guestOf(t, daemon, { init: { argv: ['perl', '-e', script] } })
    for (let round = 0; round < 5; round++) {
      t.equal((await guest.kill(0, 1)).status, 204)
      t.match(await daemon.patch(`${guest.path}/flags`, { [round % 2 ? 'clear' : 'set']: ['PERSISTENT'] }), {
        status: 200
      })
    }
    t.equal((await daemon.delete(guest.path)).status, 204)
  })

  void t.test(`with ${helper}, REBOOT_KILL ends the context by restart, halt and poweroff`, needsRoot(), async (t) => {
    const daemon = await withHelper(t)
    for (const [name, word, action] of commands) {
      const guest = await guestOf(t, daemon, { flags: ['REBOOT_KILL'], init: sleep })
      const waiter = daemon.post(`${guest.path}/wait?timeout=60`)
      const process = daemon.post(`${guest.path}/processes`, { argv: reboot(word), capture: true })
      if (isRefused || name === 'SW_SUSPEND') {
        t.match(await process, { status: 200, body: { exit_code: isRefused ? EPERM : 0 } })
        await isQuiet(daemon)
        t.equal((await daemon.delete(guest.path)).status, 204)
        matches(t, await waiter, { status: 200, body: { reboot_cmd: isRefused ? null : name, term_signal: 'SIGTERM' } })
      } else {
        t.match(await waiter, { status: 200, body: { xid: guest.xid, reboot_cmd: name, term_signal: 'SIGKILL' } })
        await process
        await isTold(t, daemon, guest, action)
      }
    }
  })

  void t.test(`with ${helper}, the next daemon takes over what a guest has rebooted`, needsRoot(), async (t) => {
    const daemon = await withHelper(t)
    const [name, word, action] = commands[1] ?? ['', 0, '']
    const guest = await guestOf(t, daemon, { init: sleep })
    t.equal((await guest.capture(reboot(word))).exit_code, isRefused ? EPERM : 0)
    await daemon.stop('SIGKILL')
    await daemon.boot()
    await isTold(t, daemon, guest, action)
    await isQuiet(daemon)
    const waiter = daemon.post(`${guest.path}/wait?timeout=60`)
    await daemon.get('/health')
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    matches(t, await waiter, { status: 200, body: { reboot_cmd: isRefused ? null : name, term_signal: 'SIGKILL' } })
  })
}

void t.test(
  'what the helper says of a context is told before its end, and after its creation',
  needsRoot(),
  async (t) => {
    const daemon = await started(t)
    daemon.writeHelper()
    const reader = await EventReader.open(daemon.socket)
    t.teardown(reader.close)
    const told = (xid: number) =>
      reader.events
        .filter(({ data }) => data.xid === xid)
        .map(({ event, data }) => (event === 'helper' ? `helper ${String(data.action)}` : event))
    const [name, word] = commands[0] ?? ['', 0]
    const wanted = ['created', 'started', 'helper restart', 'exited', 'destroyed']
    for (let round = 0; round < 5; round++) {
      const script = `syscall(169, 0xfee1dead, 672274793, ${word}, 0); sleep 1000`
      const body = { xid: 100 + round, flags: ['REBOOT_KILL'], init: { argv: ['perl', '-e', script] } }
      t.match(await daemon.post('/contexts?wait', body), { status: 200, body: { reboot_cmd: name } })
      await until('its end is told', () => told(body.xid).includes('destroyed'))
      t.same(told(body.xid), wanted)
    }
    const reply = await daemon.post('/contexts', { xid: 200, flags: ['SC_HELPER'], init: sleep })
    if (reply.status === 422) {
      // Some kernels take every helper for one that fails where they wait for it.
      t.match(reply.body, { errno: 'ENOEXEC', detail: /kernel\.vshelper/ })
      return
    }
    t.equal(reply.status, 201)
    t.equal((await daemon.delete('/contexts/200')).status, 204)
    await until('its end is told', () => told(200).includes('destroyed'))
    t.same(told(200), ['created', 'helper startup', 'started', 'helper shutdown', 'exited', 'destroyed'])
  }
)

void t.test(
  'while contexts come and go, lists and metrics are exact, and a daemon that starts watches all',
  needsRoot(),
  async (t) => {
    const daemon = await TestDaemon.start('vserver', { args: ['--context-metrics', 'on'] })
    t.teardown(() => daemon.cleanUp())
    const steady: Guest[] = []
    for (let xid = 1000; xid < 1060; xid++) steady.push(await guestOf(t, daemon, { xid, init: sleep }))
    let isOver = false
    const comeAndGo = async (from: number) => {
      for (let xid = from; !isOver; xid = from + ((xid + 1 - from) % 50)) {
        await daemon.post('/contexts', { xid })
        await daemon.delete(`/contexts/${xid}?grace=0`)
      }
    }
    const others = Promise.all([2000, 3000, 4000].map(comeAndGo))
    const later = await TestDaemon.start('vserver')
    t.teardown(() => later.cleanUp())
    for (let round = 0; round < 40; round++) {
      for (const each of [daemon, later]) {
        const { contexts } = expect<{ contexts: Context[] }>(200, await each.get('/contexts'))
        const xids = contexts.map(({ xid }) => xid)
        if (new Set(xids).size !== xids.length) t.fail('one is listed twice')
        const missing = steady.filter(({ xid }) => !xids.includes(xid))
        if (missing.length > 0) t.fail(`${missing.map(({ xid }) => xid).join()} is not listed`)
      }
      const series = (await daemon.get('/metrics')).text.match(/^contextd_context_tasks\{.*\}/gm) ?? []
      if (new Set(series).size !== series.length) t.fail('a series is there twice')
    }
    isOver = true
    await others
    for (const { path, xid } of steady) {
      expect(204, await daemon.delete(`${path}?grace=0`))
      const report = await later.post(`/contexts/${xid}/wait?timeout=60`)
      if (report.status !== 200) t.fail(`nobody has watched ${xid}: ${report.text}`)
    }
    t.pass('each was watched')
  }
)

void t.test('SC_HELPER without a program to run is refused before anything is made', needsRoot(), async (t) => {
  const daemon = await started(t)
  const reply = await daemon.post('/contexts', { xid: 100, flags: ['SC_HELPER', 'PERSISTENT'] })
  t.match(reply, { status: 422, body: { errno: 'ENOEXEC', call: 'vx_create', detail: /kernel\.vshelper.*README/ } })
  t.equal((await daemon.get('/contexts/100')).status, 404)
})

void t.test(
  'an init of a distribution is PID 1; without INFO_INIT it is not, and the answer says so',
  needsRoot(),
  async (t) => {
    const daemon = await started(t)
    const root = guestRoot(t, ['/bin/sh', '/bin/sleep', '/bin/cat'])
    mkdirSync(join(root, 'sbin'), { recursive: true })
    copyFileSync('/bin/sh', join(root, 'sbin/init'))
    const body = { root, init: { argv: ['/sbin/init', '-c', 'echo $$ >/pid; while :; do sleep 1; done'] } }
    const pidInside = async (guest: Guest) =>
      Number(await until('it says its pid', async () => (await guest.shell('cat /pid')).stdout))

    const reply = await daemon.post('/contexts', body)
    const { xid, flags, warnings } = expect<Context & { warnings?: string[] }>(201, reply)
    t.teardown(() => daemon.delete(`/contexts/${xid}?grace=0`))
    t.ok(flags.names.includes('INFO_INIT'))
    t.equal(warnings, undefined)
    const guest = new Guest(daemon, xid)
    // The emulator gives nobody another pid.
    if (process.env.CONTEXTD_PROC_VIRTUAL === undefined) t.equal(await pidInside(guest), 1)
    t.same(
      (await guest.processes()).filter(({ nspid }) => nspid === 1).map(({ pid }) => pid),
      [(await guest.context()).initpid]
    )
    t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)

    const without = await daemon.post('/contexts', { ...body, xid: 100, flags: ['VIRT_UPTIME'] })
    matches(t, without, { status: 201, body: { warnings: [/PID 1.*INFO_INIT/] } })
    t.equal((await daemon.delete('/contexts/100?grace=0')).status, 204)
  }
)

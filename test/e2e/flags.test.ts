/** What flags do on a stock kernel, seen from inside a guest. */
import { existsSync, readFileSync, readlinkSync } from 'node:fs'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf, type Guest } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

const daemon = await TestDaemon.start(process.getuid?.() === 0 ? 'namespaces' : 'memory')
t.teardown(() => daemon.cleanUp())

const patchFlags = (guest: Guest, body: object) => daemon.patch(`${guest.path}/flags`, body)

/** Ends with 7 when SIGTERM comes. */
const handlesSigterm = ['/bin/sh', '-c', 'trap "exit 7" TERM; echo ready >/tmp/ready; while :; do sleep 0.01; done']
const isReady = (guest: Guest) =>
  until('the trap is set', async () => (await guest.shell('cat /tmp/ready')).stdout === 'ready\n')

void t.test('a signal that a paused process handles acts when it goes on', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { init: { argv: handlesSigterm } })
  await isReady(guest)
  await patchFlags(guest, { set: ['SCHED_PAUSE'] })
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  t.equal((await daemon.post(`${guest.path}/wait?timeout=0.3`)).status, 204, 'it is stopped')
  const report = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  await patchFlags(guest, { clear: ['SCHED_PAUSE'] })
  t.match(await report, { status: 200, body: { exit_code: 7 } })
})

void t.test('DELETE lets a paused init act on the signal, and says stopping meanwhile', needsRoot(), async (t) => {
  const script =
    'trap "while ! [ -e /tmp/go ]; do sleep 0.01; done; exit 7" TERM; echo ready >/tmp/ready; ' +
    'while :; do sleep 0.01; done'
  const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sh', '-c', script] } })
  await isReady(guest)
  await patchFlags(guest, { set: ['SCHED_PAUSE'] })
  const report = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  const deleted = daemon.delete(`${guest.path}?grace=60`)
  await until('it is stopping', async () => (await guest.context()).state === 'stopping')
  await until('it goes on', async () => !(await guest.context()).flags.names.includes('SCHED_PAUSE'))
  await guest.start(['/bin/touch', '/tmp/go'])
  t.equal((await deleted).status, 204)
  t.match(await report, { status: 200, body: { exit_code: 7 } })
})

const RESTART = 0x01234567
const HALT = 0xcdef0123
/** reboot(2) has the same number wherever Node runs on x86-64 and arm64: 169 and 142. */
const reboot = (cmd: number) => [
  'perl',
  '-e',
  `syscall(${process.arch === 'arm64' ? 142 : 169}, 0xfee1dead, 672274793, ${cmd}, 0); exit 1`
]

for (const [cmd, name, signal, raw_status] of [
  [RESTART, 'RESTART', 'SIGHUP', 1],
  [HALT, 'HALT', 'SIGINT', 2]
] as const) {
  const rebooted = { reboot_cmd: name, term_signal: signal, exit_code: null, raw_status }

  void t.test(`reboot(2) of an init: ${name}`, needsRoot(), async (t) => {
    t.match(await daemon.post('/contexts?wait', { init: { argv: reboot(cmd) } }), { status: 200, body: rebooted })
  })

  void t.test(`reboot(2) beside an init, and without one, ends all: ${name}`, needsRoot(), async (t) => {
    for (const body of [{ init: { argv: ['/bin/sleep', '1000'] } }, { flags: ['PERSISTENT'] }]) {
      const guest = await guestOf(t, daemon, body)
      await guest.start(['/bin/sleep', '1000'])
      const report = daemon.post(`${guest.path}/wait`)
      await guest.hasWaiters(1)
      await guest.start(reboot(cmd))
      if ('flags' in body) {
        await guest.isEmpty()
        await patchFlags(guest, { clear: ['PERSISTENT'] })
      }
      t.match(await report, { status: 200, body: rebooted })
    }
  })
}

void t.test('without SYS_BOOT there is no reboot(2)', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], bcaps: [] })
  t.equal((await guest.capture(reboot(RESTART))).exit_code, 1)
})

void t.test('a new run forgets the reboot of the last one', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  await guest.start(reboot(RESTART))
  await guest.isEmpty()
  await guest.capture(['/bin/sh', '-c', 'exit 3'])
  await guest.isEmpty()
  const report = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  await patchFlags(guest, { clear: ['PERSISTENT'] })
  matches(t, await report, { body: { reboot_cmd: null, exit_code: 3 } })
})

void t.test('signals are not taken for a reboot, from inside or outside, handled or not', needsRoot(), async (t) => {
  for (const signal of ['HUP', 'INT']) {
    const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'] } })
    const { initpid } = await guest.context()
    process.kill(initpid, `SIG${signal}`)
    t.equal((await guest.shell(`kill -${signal} 1`)).exit_code, 0)
    t.equal((await guest.context()).initpid, initpid, 'the kernel discards it')
    const report = daemon.post(`${guest.path}/wait`)
    await guest.hasWaiters(1)
    await guest.kill(`SIG${signal}`, 1)
    matches(t, await report, { body: { reboot_cmd: null, term_signal: `SIG${signal}` } }, 'by the API it ends an init')
    // The last task of a context without an init is not PID 1.
    const bare = await guestOf(t, daemon)
    t.match(await bare.shell(`kill -${signal} $$`), { term_signal: `SIG${signal}` })
    const last = daemon.post(`${bare.path}/wait`)
    await bare.hasWaiters(1)
    await daemon.delete(bare.path)
    matches(t, await last, { body: { reboot_cmd: null, term_signal: `SIG${signal}` } })
  }
})

void t.test('a guest sees an init, its own mounts and cgroup, and nothing of its context', needsRoot(), async (t) => {
  const root = guestRoot(t, ['/bin/sh', '/bin/cat', '/bin/readlink'])
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], root })
  const { stdout } = await guest.shell('cat /proc/1/status')
  t.match(stdout, /^Name:\tcontextd-init\n/, 'INFO_INIT')
  t.match(stdout, /^NSpid:\t1\n/m, 'and no pid of the host')
  const mounts = (await guest.shell('cat /proc/self/mounts')).stdout.trimEnd().split('\n')
  const own = /^\/(proc|dev|run|tmp)?(\/.*)?$/
  for (const [, target = ''] of mounts.map((line) => line.split(' '))) t.match(target, own, 'HIDE_MOUNT')
  t.notMatch(mounts.join(), / cgroup2? /)
  for (const line of (await guest.shell('cat /proc/self/cgroup')).stdout.trimEnd().split('\n'))
    t.match(line, /:\/$/, 'INFO_HIDE, HIDE_VINFO')
  t.notMatch((await guest.shell('cat /proc/self/status')).stdout, new RegExp(`\\b${guest.xid}\\b`))
  t.not((await guest.shell('readlink /proc/self/ns/mnt')).stdout.trim(), readlinkSync('/proc/self/ns/mnt'))
})

void t.test('the load rises with what runs and what it has been stays for a while', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  const idle = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'] } })
  const load = async ({ path }: Guest) => ((await daemon.get(`${path}/stat`)).body as { load: number[] }).load
  t.same(await load(guest), [0, 0, 0])
  await guest.start(['/bin/sh', '-c', 'while :; do :; done'])
  await until('it is sampled', async () => ((await load(guest))[0] ?? 0) > 0)
  const [one = 0, five = 0, fifteen = 0] = await load(guest)
  t.ok(one > five && five >= fifteen, `${one} ${five} ${fifteen}`)
  t.same(await load(idle), [0, 0, 0])
  await guest.kill('SIGKILL')
  await guest.isEmpty()
  t.ok(((await load(guest))[0] ?? 0) > 0)
})

const uptimeOf = async (guest: Guest) => parseFloat((await guest.shell('cat /proc/uptime')).stdout)
const hasTime = existsSync('/proc/self/ns/time_for_children')
const needsTime = () => (hasTime ? needsRoot() : { skip: 'the kernel has no time namespaces' })

void t.test('VIRT_UPTIME: the uptime of a guest begins with its init, for all who join it', needsTime(), async (t) => {
  const host = parseFloat(readFileSync('/proc/uptime', 'utf8'))
  for (const body of [{ init: { argv: ['/bin/sleep', '1000'] } }, { flags: ['PERSISTENT'] }]) {
    const guest = await guestOf(t, daemon, { ...body, flags: ['VIRT_UPTIME', 'PERSISTENT'] })
    await guest.start(['/bin/sleep', '1000'])
    const uptime = await uptimeOf(guest)
    const { offset } = (await daemon.get(`${guest.path}/stat`)).body as { offset: number }
    t.ok(offset >= host, 'it began after this test did')
    const now = parseFloat(readFileSync('/proc/uptime', 'utf8'))
    t.ok(uptime <= now - offset + 0.02, `${uptime}: what has passed since; /proc/uptime has hundredths`)
    const clocks = 'perl -MTime::HiRes=clock_gettime -e "print clock_gettime(1)"'
    t.ok(parseFloat((await guest.shell(clocks)).stdout) <= now - offset + 60, 'the monotonic clock too')
    t.equal(
      (await guest.shell('readlink /proc/self/ns/time; readlink /proc/1/ns/time')).stdout.split('\n')[0],
      readlinkSync(`/proc/${(await guest.processes())[0]?.pid}/ns/time`),
      'one namespace for all'
    )
    await guest.kill('SIGKILL')
    await guest.isEmpty()
    t.match(await daemon.get(`${guest.path}/stat`), { body: { offset: 0 } })
  }
  const without = await guestOf(t, daemon)
  t.ok((await uptimeOf(without)) >= host)
})

void t.test('HIDE_NETIF: a guest has lo, which is up, and sees no other interface', needsRoot(), async (t) => {
  for (const body of [{ init: { argv: ['/bin/sleep', '1000'] } }, {}]) {
    const guest = await guestOf(t, daemon, { ...body, flags: ['HIDE_NETIF', 'PERSISTENT'] })
    const { stdout } = await guest.shell('cat /proc/net/dev; ls /sys/class/net /sys/devices/virtual/net')
    t.same(stdout.match(/^ *\S+:(?= +\d)/gm), ['    lo:'])
    t.match(stdout, /^\/sys\/class\/net:\nlo\n\n\/sys\/devices\/virtual\/net:\nlo\n/m)
    const connect =
      'use IO::Socket::INET; $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or exit 1; ' +
      'exit(IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $s->sockport) ? 0 : 2)'
    t.equal((await guest.capture(['perl', '-e', connect])).exit_code, 0, 'lo is up')
    t.not((await guest.shell('readlink /proc/self/ns/net')).stdout.trim(), readlinkSync('/proc/self/ns/net'))
  }
})

void t.test('what acts at creation only cannot be changed later', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  const hidden = await guestOf(t, daemon, { flags: ['PERSISTENT', 'HIDE_NETIF'] })
  const refused = { status: 422, body: { type: 'unsupported', detail: /HIDE_NETIF acts at creation only/ } }
  t.match(await patchFlags(guest, { set: ['HIDE_NETIF'] }), refused)
  t.match(await patchFlags(hidden, { clear: ['HIDE_NETIF'] }), refused)
  t.equal((await daemon.patch(`${hidden.path}/flags?unsupported=record`, { clear: ['HIDE_NETIF'] })).status, 200)
  t.notMatch((await hidden.shell('cat /proc/net/dev')).stdout, /eth/, 'the word is not what makes it')
})

/** Tries to set its priority, and prints whether it could, the errno, and what it is then. */
const renice = (value: number) =>
  `$! = 0; print setpriority(0, 0, ${value}) ? "set" : "not", " ", $!+0, " ", getpriority(0, 0), ";"`
const EACCES = 13

void t.test('IGNEG_NICE: to ask for a negative priority succeeds and changes nothing', needsRoot(), async (t) => {
  const tries = ['-e', [renice(-5), renice(7), renice(3), renice(-1)].join('; ')]
  const tried = async (guest: Guest) => (await guest.capture(['perl', ...tries])).stdout.split(';').slice(0, -1)
  const refused = (errno: number) => [`not ${errno} 0`, 'set 0 7', `not ${errno} 7`, `not ${errno} 7`]
  const ignored = ['set 0 0', 'set 0 7', `not ${EACCES} 7`, 'set 0 7']
  for (const body of [{ init: { argv: ['/bin/sleep', '1000'] } }, {}]) {
    const guest = await guestOf(t, daemon, { ...body, flags: ['PERSISTENT', 'IGNEG_NICE'] })
    t.same(await tried(guest), ignored)
    await patchFlags(guest, { clear: ['IGNEG_NICE'] })
    t.same(await tried(guest), refused(EACCES), 'without it the kernel says no')
    await patchFlags(guest, { set: ['IGNEG_NICE'] })
    t.same(await tried(guest), ignored, 'it acts on new processes')
  }
  const init = `${renice(-5)}; sleep 1000`
  const script = `open STDOUT, ">/tmp/out"; $| = 1; ${init}`
  const own = await guestOf(t, daemon, { flags: ['IGNEG_NICE'], init: { argv: ['perl', '-e', script] } })
  await until('the init has tried', async () => (await own.shell('cat /tmp/out')).stdout === 'set 0 0;')
})

void t.test(
  'with SYS_NICE a guest raises its priority, IGNEG_NICE or not, as on the kernel',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon, { flags: ['PERSISTENT', 'IGNEG_NICE'], bcaps: ['SYS_NICE'] })
    t.equal((await guest.capture(['perl', '-e', renice(-5)])).stdout, 'set 0 -5;')
  }
)

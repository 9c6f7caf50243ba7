/** What a daemon learns of guests that an earlier one started: forks, OOM kills, shims of this and other versions. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { native, protocol } from '../../daemon/drivers/native.js'
import type { ExitReport, StatReply } from '../../daemon/schemas/context.js'
import { mainPath, TestDaemon } from '../support/daemon.js'
import { expect, guestOf, type Guest } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { childrenOf, isAlive, needsRoot, statusField } from '../support/proc.js'

const sleep = ['/bin/sleep', '1000']
const setInit = { flags: ['SET_INIT', 'SET_REAPER'] }

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  return daemon
}

async function restart(daemon: TestDaemon): Promise<void> {
  await daemon.stop('SIGKILL')
  await daemon.boot()
}

const cgroupOf = ({ daemon, xid }: Guest) => join(daemon.cgroupRoot ?? '', 'contexts', String(xid))
const forksOf = async ({ daemon, path }: Guest) => expect<StatReply>(200, await daemon.get(`${path}/stat`)).nr_forks
const reportOf = async ({ daemon, path }: Guest) => expect<ExitReport>(200, await daemon.post(`${path}/wait`))

void t.test('SET_INIT takes the place of a reaper that an earlier daemon started', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  const process = await guest.start(sleep)
  await restart(daemon)
  await restart(daemon)
  const init = await guest.start(['/bin/sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.01; done'], setInit)
  t.equal((await guest.context()).initpid, init)
  t.ok(isAlive(process), 'beside what was there')
  await restart(daemon)
  t.equal((await guest.context()).initpid, init)
  t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })).status, 200)
  const report = reportOf(guest)
  await guest.hasWaiters(1)
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  t.match(await report, { exit_code: 3, oom_killed: false })
})

void t.test('of a shim that speaks another protocol only what needs it is refused', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon)
  const process = await guest.start(sleep)
  await daemon.stop('SIGKILL')
  const shim = native.getAttribute(cgroupOf(guest), 'trusted.contextd.shim') ?? ''
  t.match(shim, new RegExp(`^\\d+ \\d+ ${protocol}$`))
  native.setAttribute(cgroupOf(guest), 'trusted.contextd.shim', shim.replace(/\d+$/, '999'))
  await daemon.boot()
  t.match(await daemon.post(`${guest.path}/processes`, { argv: sleep, ...setInit }), {
    status: 403,
    body: { errno: 'EPERM', detail: /speaks protocol 999, and this daemon \d+/ }
  })
  t.equal((await guest.shell('echo works')).stdout, 'works\n')
  matches(t, await guest.processes(), [{ pid: process }])
  const report = reportOf(guest)
  await guest.hasWaiters(1)
  t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
  t.match(await report, { term_signal: 'SIGTERM' })
})

void t.test('a package with another launcher goes on with running guests', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  const process = await guest.start(sleep)
  await daemon.stop('SIGKILL')
  // The same program with something behind it: what a rebuilt one is to who started the old one.
  const dist = join(daemon.directory, 'upgraded', 'dist')
  cpSync(join(mainPath, '..', '..'), dist, { recursive: true, filter: (path) => !path.includes('/test') })
  for (const name of ['node_modules', 'package.json'])
    symlinkSync(join(mainPath, '..', '..', '..', name), join(dist, '..', name))
  writeFileSync(join(dist, 'native', 'contextd-launcher'), 'another version', { flag: 'a' })
  await daemon.boot({ main: join(dist, 'daemon', 'main.js') })
  t.equal((await guest.shell('echo works')).stdout, 'works\n')
  const init = await guest.start(sleep, setInit)
  t.ok(isAlive(process))
  t.equal((await guest.kill('SIGKILL', 1)).status, 204)
  await guest.isEmpty()
  t.not(await guest.start(sleep, setInit), init, 'the new launcher starts the next run')
})

void t.test('forks and threads are counted exactly, whichever daemon is there, or none', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon)
  t.equal(await forksOf(guest), 0)
  await guest.shell('for i in 1 2 3 4 5; do /bin/true; done')
  t.equal(await forksOf(guest), 5, 'what the daemon starts is no fork')
  await guest.isEmpty()
  await restart(daemon)
  t.equal(await forksOf(guest), 5, 'with nobody left to hold the counter')
  const forksThrice = 'for (1..3) { my $p = fork // die; exit unless $p; waitpid $p, 0 }'
  const pid = await guest.start(['perl', '-e', `select undef, undef, undef, 0.05 until -e "/tmp/go"; ${forksThrice}`])
  await daemon.stop('SIGKILL')
  writeFileSync(`/proc/${pid}/root/tmp/go`, '')
  await until('it has ended', () => !isAlive(pid))
  await daemon.boot()
  await guest.isEmpty()
  t.equal(await forksOf(guest), 8, 'what was forked while no daemon ran')
  await restart(daemon)
  t.equal(await forksOf(guest), 8)
  await guest.capture(['perl', '-e', forksThrice])
  t.equal(await forksOf(guest), 11)
})

void t.test('no guest process has a descriptor of what counts', needsRoot(), async (t) => {
  const guest = await guestOf(t, await started(t), { init: { argv: sleep } })
  t.equal((await guest.shell('ls /proc/1/fd; ls /proc/self/fd')).stdout, '0\n1\n2\n0\n1\n2\n3\n', "3 is ls's own")
})

/** Has the kernel kill an init that takes more than 16 MiB. */
function limitMemory(t: Test, guest: Guest, pid: number): void {
  const limit = String(16 * 1024 * 1024)
  if (existsSync(join(cgroupOf(guest), 'memory.max'))) {
    writeFileSync(join(cgroupOf(guest), 'memory.max'), limit)
    return
  }
  const path = `/sys/fs/cgroup/memory/contextd-oom-${process.pid}-${guest.xid}-${pid}`
  mkdirSync(path)
  t.teardown(async () => {
    await until('it is empty', () => readFileSync(join(path, 'cgroup.procs'), 'utf8') === '')
    rmdirSync(path)
  })
  writeFileSync(join(path, 'memory.limit_in_bytes'), limit)
  writeFileSync(join(path, 'cgroup.procs'), String(pid))
}

for (const isRestarted of [false, true])
  void t.test(
    `an init that the kernel kills for lack of memory says so${isRestarted ? ', to a later daemon too' : ''}`,
    needsRoot(),
    async (t) => {
      const daemon = await started(t)
      const script = 'select undef, undef, undef, 0.05 until -e "/tmp/go"; my @a; push @a, "x" x 1e6 while 1'
      const guest = await guestOf(t, daemon, { init: { argv: ['perl', '-e', script] } })
      const { initpid } = await guest.context()
      limitMemory(t, guest, initpid)
      if (isRestarted) await daemon.stop('SIGKILL')
      const shim = Number(statusField(initpid, 'PPid'))
      writeFileSync(`/proc/${initpid}/root/tmp/go`, '')
      await until('it is killed', () => !isAlive(initpid) && !childrenOf(shim).includes(initpid))
      if (isRestarted) await daemon.boot()
      t.match(await reportOf(guest), { term_signal: 'SIGKILL', oom_killed: true })
      const other = await guestOf(t, daemon, { init: { argv: sleep } })
      const report = reportOf(other)
      await other.hasWaiters(1)
      await other.kill('SIGKILL')
      t.match(await report, { term_signal: 'SIGKILL', oom_killed: false }, 'a kill by anybody else does not')
    }
  )

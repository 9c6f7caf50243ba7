/** The addon's calls on processes: signals to members of a cgroup, names of a UTS namespace, reaping. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { cgroup2Mounts } from '../../daemon/drivers/namespaces/cgroup2-mounts.js'
import { isPopulated, killAll } from '../../daemon/drivers/namespaces/cgroups.js'
import { native } from '../../daemon/drivers/native.js'
import { until } from '../support/poll.js'
import { descriptorsOf, isAlive, needsRoot, statusField } from '../support/proc.js'

const SIGTERM = 15
const SIGUSR1 = 10

/** @param through a program to start it by, and its arguments */
function sleeper(t: Test, through: string[] = []): ChildProcess & { pid: number } {
  const child = spawn('/usr/bin/env', [...through, 'sleep', '1000'], { stdio: 'ignore' })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return child as ChildProcess & { pid: number }
}

/** A cgroup of the test's own, with these processes in it. */
function members(t: Test, ...pids: number[]): [procs: string, line: string] {
  const [mount] = cgroup2Mounts()
  const path = join(mount?.path ?? '', `contextd-native-${process.pid}-${Math.random().toString(36).slice(2)}`)
  mkdirSync(path)
  t.teardown(async () => {
    killAll(path)
    await until('the cgroup is empty', () => !isPopulated(path))
    rmdirSync(path)
  })
  for (const pid of pids) writeFileSync(join(path, 'cgroup.procs'), String(pid))
  return [path, `0::${join(mount?.root ?? '', relative(mount?.path ?? '', path))}`]
}

void t.test('a signal reaches a member', needsRoot(), async (t) => {
  const child = sleeper(t)
  const [cgroup, line] = members(t, child.pid)
  native.signalMember(cgroup, line, child.pid, 0, 0)
  t.ok(isAlive(child.pid), 'signal 0 only probes')
  native.signalMember(cgroup, line, child.pid, SIGTERM, 0)
  t.same(await once(child, 'exit'), [null, 'SIGTERM'])
})

void t.test('a process outside the cgroup is not there: ESRCH, and nothing happens to it', needsRoot(), async (t) => {
  const [outsider, insider] = [sleeper(t), sleeper(t)]
  const [cgroup, line] = members(t, insider.pid)
  const refused = { name: 'CallError', code: 'ESRCH' }
  t.throws(() => native.signalMember(cgroup, line, outsider.pid, SIGTERM, 0), refused)
  t.throws(() => native.signalMember(cgroup, line, process.pid, SIGTERM, 0), refused)
  t.throws(() => native.openMember(cgroup, line, outsider.pid), refused)
  t.throws(() => native.signalMember(cgroup, line, 2 ** 22 + 1, SIGTERM, 0), refused, 'nor is one that never was')
  t.ok(isAlive(outsider.pid))
})

void t.test('a cgroup whose name only begins the same is another', needsRoot(), async (t) => {
  const child = sleeper(t)
  const [cgroup, line] = members(t, child.pid)
  t.throws(() => native.signalMember(cgroup, line.slice(0, -1), child.pid, SIGTERM, 0), { code: 'ESRCH' })
  t.ok(isAlive(child.pid))
})

void t.test('CPU time is of each cgroup, -1 for one that is not there', needsRoot(), async (t) => {
  const busy = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' })
  const [[used], [idle]] = [members(t, busy.pid ?? 0), members(t)]
  const all = () => native.cpuUsage([used, '/nowhere', idle])
  const [first = NaN, ...rest] = await all()
  t.same(rest, [-1, 0])
  t.ok(first >= 0)
  await until('it grows', async () => ((await all())[0] ?? 0) > first + 10_000)
  t.same(await native.cpuUsage([]), [])
})

void t.test('a signal to all reaches each member once but the one to be left out', needsRoot(), async (t) => {
  const children = [sleeper(t), sleeper(t), sleeper(t)]
  const [first, second, third] = children.map(({ pid }) => pid)
  const [cgroup, line] = members(t, ...children.map(({ pid }) => pid))
  t.equal(await native.signalMembers(cgroup, line, 0, 0, 0), 3)
  t.equal(await native.signalMembers(cgroup, line, SIGUSR1, 0, third ?? 0), 2)
  await until('two are gone', () => !isAlive(first ?? 0) && !isAlive(second ?? 0))
  t.ok(isAlive(third ?? 0))
})

void t.test('no member is reached in an empty cgroup', needsRoot(), async (t) => {
  t.equal(await native.signalMembers(...members(t), SIGTERM, 0, 0), 0)
})

void t.test(
  'the init that has no handler is ended by SIGKILL, for the kernel would drop the signal',
  needsRoot(),
  async (t) => {
    const child = sleeper(t)
    const [cgroup, line] = members(t, child.pid)
    native.signalMember(cgroup, line, child.pid, SIGTERM, child.pid)
    t.same(await once(child, 'exit'), [null, 'SIGKILL'])
  }
)

void t.test('names are read from and written to the namespace of a process, not to ours', needsRoot(), async (t) => {
  const child = sleeper(t, ['unshare', '--uts', '--'])
  const [cgroup, line] = members(t, child.pid)
  await until('unshare has become sleep', () => statusField(child.pid, 'Name') === 'sleep')
  const before = { host: hostname(), descriptors: descriptorsOf(process.pid).length }
  const pidfd = native.openMember(cgroup, line, child.pid)
  t.equal(native.getUtsNames(pidfd).nodename, before.host)
  native.setNodename(pidfd, 'native-test')
  native.setDomainname(pidfd, 'é'.repeat(32))
  t.same(native.getUtsNames(pidfd), { nodename: 'native-test', domainname: 'é'.repeat(32) })
  t.throws(
    () => {
      native.setNodename(pidfd, 'x'.repeat(65))
    },
    { code: 'EINVAL', call: 'sethostname' }
  )
  t.equal(hostname(), before.host)
  closeSync(pidfd)
  t.equal(descriptorsOf(process.pid).length, before.descriptors)
  t.throws(() => native.getUtsNames(-1), { code: 'EBADF', call: 'setns' })
})

void t.test('what is no child of ours counts as reaped', async (t) => {
  t.equal(native.reap(1), true)
})

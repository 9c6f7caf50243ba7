/** Launchers that take another order of their context, as the host sees them. */
import t, { type Test } from 'tap'
import { guestOf, shortLife, type Guest } from '../support/guest.js'
import { TestDaemon } from '../support/daemon.js'
import { until } from '../support/poll.js'
import { isAlive, needsRoot, statusField } from '../support/proc.js'

const sleeping = { init: { argv: ['/bin/sleep', '1000'] } }

let daemon: TestDaemon
t.before(async () => {
  if (!needsRoot().skip) daemon = await TestDaemon.start('namespaces')
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

/** Has captured processes run at once. Returns the pids of their launchers, which are their parents on the host. */
async function launchersOf(t: Test, guest: Guest, count: number): Promise<Set<number>> {
  const results = Promise.all(Array.from({ length: count }, () => guest.capture(['/bin/sleep', '1000'])))
  const running = await until('all run', async () => {
    const sleeps = (await guest.processes()).filter(({ comm, nspid }) => comm === 'sleep' && nspid !== 1)
    return sleeps.length === count ? sleeps : undefined
  })
  const launchers = new Set(running.map(({ pid }) => Number(statusField(pid, 'PPid'))))
  for (const { pid } of running) t.equal((await guest.kill('SIGTERM', pid)).status, 204)
  t.ok((await results).every(({ term_signal }) => term_signal === 'SIGTERM'))
  return launchers
}

async function launcherOf(t: Test, guest: Guest): Promise<number> {
  const [launcher = 0] = await launchersOf(t, guest, 1)
  return launcher
}

const boundingSet = async (guest: Guest) =>
  (await guest.shell('grep CapBnd /proc/self/status')).stdout.trim().split(/\s+/)[1]

void t.test('the next captured process of a context has the same launcher', needsRoot(), async (t) => {
  const [guest, other] = [await guestOf(t, daemon, sleeping), await guestOf(t, daemon, sleeping)]
  const launcher = await launcherOf(t, guest)
  t.equal(await launcherOf(t, guest), launcher)
  t.not(await launcherOf(t, other), launcher, 'but not one of another context')
  t.equal(await launcherOf(t, guest), launcher)
  t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
  await until('it ends with its context', () => !isAlive(launcher))
})

void t.test('at once, each has its own launcher, and a few of these are kept', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, sleeping)
  const launchers = await launchersOf(t, guest, 8)
  t.equal(launchers.size, 8)
  await until('four are left', () => [...launchers].filter(isAlive).length === 4)
  t.ok(launchers.has(await launcherOf(t, guest)))
})

void t.test('none is kept for a context in which nothing runs', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  const launcher = await launcherOf(t, guest)
  await guest.isEmpty()
  await until('it has ended', () => !isAlive(launcher))
  t.match(await guest.shell('echo again'), { stdout: 'again\n' })
})

void t.test('a kept launcher that is killed is no loss', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, sleeping)
  const launcher = await launcherOf(t, guest)
  process.kill(launcher, 'SIGKILL')
  await until('it is gone', () => !isAlive(launcher))
  t.match(await guest.shell('echo still here'), { stdout: 'still here\n' })
})

void t.test('what takes the place of a killed one is known for what it may give', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { ...sleeping, bcaps: ['CHOWN', 'KILL'] })
  const kill = async (pid: number) => {
    process.kill(pid, 'SIGKILL')
    await until('it is gone', () => !isAlive(pid))
  }
  const launcher = await launcherOf(t, guest)
  t.equal((await daemon.put(`${guest.path}/bcaps`, { names: ['CHOWN'] })).status, 200)
  await kill(launcher)
  t.equal(await boundingSet(guest), '0000000000000001')
  t.equal((await daemon.put(`${guest.path}/bcaps`, { names: ['CHOWN', 'KILL'] })).status, 200)
  t.equal(await boundingSet(guest), '0000000000000021')
})

void t.test(
  'a process has the bcaps of its own start, whatever its launcher started before',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon, { ...sleeping, bcaps: ['CHOWN'] })
    t.equal(await boundingSet(guest), '0000000000000001')
    for (const [names, word] of [
      [['CHOWN', 'KILL'], '0000000000000021'],
      [['KILL'], '0000000000000020'],
      [['CHOWN', 'KILL'], '0000000000000021']
    ] as const) {
      t.equal((await daemon.put(`${guest.path}/bcaps`, { names })).status, 200)
      t.equal(await boundingSet(guest), word)
      t.equal(await boundingSet(guest), word)
    }
  }
)

void t.test('one that has started a process with much output is not kept', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, sleeping)
  const launcher = await launcherOf(t, guest)
  t.equal((await guest.shell('head -c 100000 /dev/zero')).stdout.length, 100_000)
  await until('it has ended', () => !isAlive(launcher))
})

void t.test('a timeout and a failed start leave no launcher that misleads the next', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, sleeping)
  for (let round = 0; round < 3; round++) {
    t.match(await guest.capture(['/bin/sleep', '1000'], shortLife), { timed_out: true, stdout: '' })
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/nowhere'], capture: true }), {
      body: { call: 'execve', errno: 'ENOENT' }
    })
    t.match(await guest.shell('cat; echo out; echo err >&2; exit 3', { stdin: `${round}\n` }), {
      stdout: `${round}\nout\n`,
      stderr: 'err\n',
      exit_code: 3,
      timed_out: false,
      truncated: false
    })
  }
})

/** What limits do to a guest, where this host has the controllers; where it has not, that they are refused and why. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Vocabulary } from '../conformance/support.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf, type Guest } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

const daemon = await TestDaemon.start(process.getuid?.() === 0 ? 'namespaces' : 'memory')
t.teardown(() => daemon.cleanUp())
t.setTimeout(120_000)

const vocabulary = (await daemon.get('/vocabulary')).body as Vocabulary
const entryOf = (name: string) => vocabulary.limits.find((entry) => entry.name === name)
const MIB = 1 << 20

const fileOf = ({ xid }: Guest, file: string) =>
  readFileSync(join(daemon.cgroupRoot ?? '', 'contexts', String(xid), file), 'utf8').trim()

/** `tried` where the controller is there. Elsewhere flag and limit are refused, and the answer names the controller. */
function limit(names: string[], flag: string, controller: string, sentence: string, tried: (t: Test) => Promise<void>) {
  const isThere = entryOf(names[0] ?? '')?.treatment === 'enforced'
  void t.test(
    isThere ? sentence : `${flag} without the ${controller} controller is refused`,
    needsRoot(),
    async (t) => {
      const flagEntry = vocabulary.flags.find(({ name }) => name === flag)
      for (const name of names) t.equal(entryOf(name)?.treatment, flagEntry?.treatment, 'the flag is as its limits')
      if (isThere) return tried(t)
      const reason = new RegExp(`no cgroup controller ${controller}`)
      t.match(flagEntry, { treatment: 'unsupported', reason })
      const refused = { status: 422, body: { type: 'unsupported', detail: reason } }
      t.match(await daemon.post('/contexts', { flags: ['PERSISTENT', flag] }), refused)
      for (const name of names) {
        t.match(entryOf(name), { treatment: 'unsupported', reason })
        t.match(await daemon.post('/contexts', { limits: { [name]: name.startsWith('memory') ? MIB : 100 } }), refused)
      }
      return undefined
    }
  )
}

limit(['pids_max'], 'INFO_NPROC', 'pids', 'INFO_NPROC: a guest makes no more processes than pids_max', async (t) => {
  const body = { flags: ['PERSISTENT', 'INFO_NPROC'], limits: { pids_max: 12 } }
  const guest = await guestOf(t, daemon, body)
  t.equal(fileOf(guest, 'pids.max'), '12')
  const forks = 'my $n = 0; while (defined(my $p = fork)) { if (!$p) { sleep 1000 } $n++ } print "$n $!\n"; kill 9, 0'
  const forked = async () => parseInt((await guest.capture(['perl', '-e', `$| = 1; setpgrp; ${forks}`])).stdout, 10)
  t.equal(await forked(), 10, 'with the reaper and the one that forks')
  await daemon.patch(`${guest.path}/limits`, { pids_max: 22 })
  await guest.isEmpty()
  t.equal(await forked(), 20)
  await daemon.patch(`${guest.path}/flags`, { clear: ['INFO_NPROC'] })
  t.equal(fileOf(guest, 'pids.max'), 'max')
  await daemon.patch(`${guest.path}/flags`, { set: ['INFO_NPROC'] })
  t.equal(fileOf(guest, 'pids.max'), '22')
})

limit(
  ['memory_high', 'memory_max'],
  'FORK_RSS',
  'memory',
  'FORK_RSS: what is above memory_max is killed, above memory_high reclaimed',
  async (t) => {
    const limits = { memory_high: 48 * MIB, memory_max: 64 * MIB }
    const guest = await guestOf(t, daemon, { flags: ['PERSISTENT', 'FORK_RSS'], limits })
    const eats = (mib: number) => guest.capture(['perl', '-e', `my $x = "x" x (${mib} << 20); print length $x`])
    t.match(await eats(10), { exit_code: 0, stdout: String(10 * MIB) })
    await daemon.patch(`${guest.path}/limits`, { memory_high: null })
    t.match(await eats(100), { term_signal: 'SIGKILL' })
    await daemon.patch(`${guest.path}/limits`, { memory_high: 16 * MIB })
    t.equal(fileOf(guest, 'memory.high'), String(16 * MIB))
    const high = () => Number(/^high (\d+)$/m.exec(fileOf(guest, 'memory.events'))?.[1])
    const before = high()
    // Without swap there is nothing to reclaim, and it is held back for minutes.
    await guest.start(['perl', '-e', 'my $x = "x" x (24 << 20); sleep 1000'])
    await until('the kernel holds it back', () => high() > before)
    await guest.kill('SIGKILL')
    await guest.isEmpty()
    await daemon.patch(`${guest.path}/flags`, { clear: ['FORK_RSS'] })
    t.match(await eats(100), { exit_code: 0 })
  }
)

limit(['cpu_max'], 'SCHED_HARD', 'cpu', 'SCHED_HARD: a guest gets no more CPU time than cpu_max', async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT', 'SCHED_HARD'], limits: { cpu_max: 10 } })
  t.equal(fileOf(guest, 'cpu.max'), '10000 100000')
  await guest.start(['/bin/sh', '-c', 'while :; do :; done'])
  const throttled = () => Number(/^nr_throttled (\d+)$/m.exec(fileOf(guest, 'cpu.stat'))?.[1])
  await until('it is throttled', () => throttled() > 2)
  await daemon.patch(`${guest.path}/flags`, { clear: ['SCHED_HARD'] })
  t.equal(fileOf(guest, 'cpu.max'), 'max 100000')
})

limit(['cpu_weight'], 'SCHED_PRIO', 'cpu', 'SCHED_PRIO: a guest has the weight that it was given', async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT', 'SCHED_PRIO'], limits: { cpu_weight: 30 } })
  t.equal(fileOf(guest, 'cpu.weight'), '30')
  await daemon.patch(`${guest.path}/limits`, { cpu_weight: null })
  t.equal(fileOf(guest, 'cpu.weight'), '100')
})

void t.test('limits and what acts of them are the same after a restart of the daemon', needsRoot(), async (t) => {
  const own = await TestDaemon.start('namespaces')
  t.teardown(() => own.cleanUp())
  const limits = { cpu_max: 150, pids_max: 70 }
  await own.put('/contexts/100?unsupported=record', { flags: ['PERSISTENT', 'SCHED_HARD'], limits })
  const before = (await own.get('/contexts/100')).body as { limits: object }
  t.match(before.limits, limits)
  await own.stop('SIGKILL')
  await own.boot()
  t.same((await own.get('/contexts/100')).body, before)
})

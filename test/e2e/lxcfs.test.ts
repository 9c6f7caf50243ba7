/** VIRT_MEM, VIRT_CPU and VIRT_LOAD where lxcfs is mounted; where it is not, that they are refused and why. */
import { cpus } from 'node:os'
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Vocabulary } from '../conformance/support.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

const daemon = await TestDaemon.start(process.getuid?.() === 0 ? 'namespaces' : 'memory')
t.teardown(() => daemon.cleanUp())

const vocabulary = (await daemon.get('/vocabulary')).body as Vocabulary
const entryOf = (flag: string) => vocabulary.flags.find(({ name }) => name === flag)
const isMounted = / \/var\/lib\/lxcfs .* - fuse\.lxcfs /.test(readFileSync('/proc/self/mountinfo', 'utf8'))
const MIB = 1 << 20

for (const flag of ['VIRT_MEM', 'VIRT_CPU', 'VIRT_LOAD']) {
  if (entryOf(flag)?.treatment === 'at_create') continue
  void t.test(`${flag} is refused here, and the answer says what is missing`, needsRoot(), async (t) => {
    const reason = isMounted ? /^no cgroup controller |lxcfs / : /^lxcfs is not mounted on \/var\/lib\/lxcfs$/
    t.match(entryOf(flag), { treatment: 'unsupported', reason })
    t.match(await daemon.post('/contexts', { flags: ['PERSISTENT', flag] }), {
      status: 422,
      body: { type: 'unsupported', detail: entryOf(flag)?.reason }
    })
    const guest = await guestOf(t, daemon)
    t.match(await daemon.patch(`${guest.path}/flags`, { set: [flag] }), { status: 422 })
    const kept = await daemon.post('/contexts?unsupported=record', { flags: ['PERSISTENT', flag] })
    t.equal(kept.status, 201)
    const { xid } = kept.body as { xid: number }
    t.teardown(() => daemon.delete(`/contexts/${xid}?grace=0`))
    const mounts = await daemon.post(`/contexts/${xid}/processes`, {
      argv: ['/bin/cat', '/proc/mounts'],
      capture: true
    })
    t.notMatch(mounts.body, { stdout: /lxcfs \/proc/ }, 'without effect')
  })
}

if (entryOf('VIRT_MEM')?.treatment === 'at_create')
  void t.test('a guest sees its own memory, CPUs and load, with its own root too', async (t) => {
    const limits = { memory_max: 64 * MIB, cpu_max: 100 }
    const [hasCpu, hasLoad] = ['VIRT_CPU', 'VIRT_LOAD'].map((flag) => entryOf(flag)?.treatment === 'at_create')
    const flags = ['PERSISTENT', 'FORK_RSS', 'SCHED_HARD', 'VIRT_MEM']
    if (hasCpu) flags.push('VIRT_CPU')
    if (hasLoad) flags.push('VIRT_LOAD')
    const root = guestRoot(t, ['/bin/sh', '/bin/cat'])
    for (const more of [{}, { root }, { init: { argv: ['/bin/sleep', '1000'] } }]) {
      const guest = await guestOf(t, daemon, { flags, limits, ...more })
      const seen = (file: string) => guest.shell(`cat /proc/${file}`).then(({ stdout }) => stdout)
      t.match(await seen('meminfo'), /^MemTotal: +65536 kB$/m)
      if (hasCpu) t.equal((await seen('cpuinfo')).match(/^processor/gm)?.length, 1, `of ${cpus().length}`)
      if (hasLoad) t.match(await seen('loadavg'), /^0\.\d\d /)
      t.match(await seen('mounts'), /^lxcfs \/proc\/meminfo fuse\.lxcfs ro,/m)
      const host = await guestOf(t, daemon, { limits, flags: ['PERSISTENT', 'FORK_RSS'] })
      t.notMatch((await host.shell('cat /proc/meminfo')).stdout, /^MemTotal: +65536 kB$/m, 'only with the flag')
    }
  })

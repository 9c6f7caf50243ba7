/** The places that forks are counted in are given back with their contexts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ForkCounter } from '../../daemon/drivers/namespaces/forks.js'
import { native } from '../../daemon/drivers/native.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

void t.test('a context that has ended leaves no place taken', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'] } })
  const { initpid } = await guest.context()
  const [, path = ''] = /^0::(.*)$/m.exec(readFileSync(`/proc/${initpid}/cgroup`, 'utf8')) ?? []
  const contexts = join(daemon.cgroupRoot ?? '', 'contexts')
  // The same counter as the daemon's: there is one for a directory.
  const counter = ForkCounter.open(contexts, path.split('/').length - 1)
  if (!(counter instanceof ForkCounter)) throw counter
  t.teardown(() => {
    counter.close()
  })
  const taken = () => native.listForks(counter.files.slots, counter.files.counters).length
  t.equal(taken(), 1)
  const others = [await guestOf(t, daemon), await guestOf(t, daemon, { init: { argv: ['/bin/true'] } })]
  for (const { path } of [guest, ...others]) await daemon.delete(`${path}?grace=0`)
  await until('no place is taken', () => taken() === 0)
})

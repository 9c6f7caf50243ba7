/** Who may have how many of what is counted. */
import t from 'tap'
import { Slots } from '../../daemon/admission/slots.js'
import type { Refusal } from '../../daemon/refusal.js'

/** How many a uid gets, up to the first refusal, and what that is. */
function takeAll(slots: Slots, uid: number) {
  const releases: (() => void)[] = []
  for (;;)
    try {
      releases.push(slots.take(uid))
    } catch (error) {
      const { status, type } = error as Refusal
      return { releases, count: releases.length, status, type }
    }
}

void t.test('however many uids have all that they can, root has a quarter', (t) => {
  const slots = new Slots('waits', 'waiters', 4096)
  t.match(takeAll(slots, 1), { count: 2048, status: 429, type: 'share' })
  t.match(takeAll(slots, 2), { count: 1024, status: 503, type: 'busy' })
  t.match(takeAll(slots, 3), { count: 0, status: 503, type: 'busy' })
  t.match(takeAll(slots, 0), { count: 1024, status: 503, type: 'busy' })
  t.end()
})

void t.test('root may have all, and what it has is not taken from the share of the others before they are', (t) => {
  const slots = new Slots('waits', 'waiters', 16)
  t.equal(takeAll(slots, 0).count, 16)
  const [release] = takeAll(slots, 0).releases
  t.equal(release, undefined)
  t.match(takeAll(slots, 1), { count: 0, type: 'busy' })
  t.end()
})

void t.test('half of an odd number is rounded up', (t) => {
  t.equal(takeAll(new Slots('captures', 'captures', 1), 1).count, 1)
  t.match(takeAll(new Slots('captures', 'captures', 5), 1), { count: 3, status: 429 })
  t.equal(takeAll(new Slots('captures', 'captures', 0), 0).count, 0)
  t.end()
})

void t.test('a slot is given back once', (t) => {
  const slots = new Slots('waits', 'waiters', 8)
  for (const uid of [0, 1]) {
    const [first, second] = [slots.take(uid), slots.take(uid)]
    first()
    first()
    t.equal(slots.used, 1)
    second()
    t.equal(slots.used, 0)
  }
  t.match(takeAll(slots, 1), { count: 4 })
  t.match(takeAll(slots, 0), { count: 4 })
  t.end()
})

import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Locks } from '../../daemon/contexts/locks.js'

void t.test('work on one key is done one by one, in the order it came', async (t) => {
  const locks = new Locks()
  const seen: string[] = []
  const work = (name: string, turns: number) =>
    locks.run(1, async () => {
      seen.push(`${name} begins`)
      for (let i = 0; i < turns; i++) await turn()
      seen.push(`${name} ends`)
      return name
    })
  t.same(await Promise.all([work('a', 5), work('b', 0), work('c', 2)]), ['a', 'b', 'c'])
  t.same(seen, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

void t.test('work on different keys is done side by side', async (t) => {
  const locks = new Locks()
  const held: { release?: () => void } = {}
  const first = locks.run(
    1,
    () =>
      new Promise<void>((resolve) => {
        held.release = resolve
      })
  )
  t.equal(await locks.run(2, async () => 'done'), 'done')
  held.release?.()
  await first
})

void t.test('work that fails does not keep others out, and its error is its own', async (t) => {
  const locks = new Locks()
  const failing = locks.run(1, async () => {
    await turn()
    throw new Error('mine')
  })
  const next = locks.run(1, async () => 'fine')
  await t.rejects(failing, { message: 'mine' })
  t.equal(await next, 'fine')
})

void t.test('work that throws before it waits does not keep others out either', async (t) => {
  const locks = new Locks()
  await t.rejects(
    locks.run(1, () => {
      throw new Error('at once')
    }),
    { message: 'at once' }
  )
  t.equal(await locks.run(1, async () => 'fine'), 'fine')
})

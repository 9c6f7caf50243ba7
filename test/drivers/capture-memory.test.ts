/** Room for captured output: within the limit, in turn, and one alone always fits. */
import t from 'tap'
import { CaptureMemory } from '../../daemon/drivers/capture-memory.js'

function memoryOf(limit: number) {
  const memory = new CaptureMemory()
  memory.limit = limit
  const granted: string[] = []
  const claim = (name: string, bytes: number) => memory.claim(bytes, () => granted.push(name))
  return { granted, claim }
}

void t.test('what does not fit waits, and is granted in turn', async (t) => {
  const { granted, claim } = memoryOf(100)
  const [a, b, c, d] = [claim('a', 60), claim('b', 50), claim('c', 10), claim('d', 10)]
  t.strictSame([a.isGranted, b.isGranted, c.isGranted], [true, false, false], 'nobody overtakes')
  a.release()
  a.release()
  t.strictSame(granted, ['b', 'c', 'd'])
  for (const one of [b, c, d]) one.release()
  t.equal(claim('e', 100).isGranted, true, 'all is given back')
})

void t.test('one that is larger than all there is has its turn, alone', async (t) => {
  const { granted, claim } = memoryOf(100)
  const large = claim('large', 500)
  t.equal(large.isGranted, true)
  const small = claim('small', 1)
  t.equal(small.isGranted, false)
  large.release()
  t.strictSame(granted, ['small'])
})

void t.test('one that gives up while it waits holds nobody up', async (t) => {
  const { granted, claim } = memoryOf(100)
  const first = claim('first', 80)
  const second = claim('second', 80)
  claim('third', 20)
  second.release()
  t.strictSame(granted, ['third'])
  first.release()
  t.strictSame(granted, ['third'])
})

import t from 'tap'
import { LoadAverage } from '../../../daemon/drivers/namespaces/load.js'

const filled = (samples: number, active: number) => {
  const load = new LoadAverage()
  for (let sample = 1; sample <= samples; sample++) load.add(sample, active)
  return load
}

void t.test('the first sample of one task is what the kernel shows: 0.08, 0.01, 0.00', (t) => {
  t.same(filled(1, 1).at(1), [164 / 2048, 34 / 2048, 11 / 2048])
  t.end()
})

void t.test('it reaches what it rises to, and 0 when nothing runs', (t) => {
  t.same(filled(10_000, 3).at(10_000), [3, 3, 3])
  t.same(filled(10_000, 3).at(20_000), [0, 0, 0])
  t.end()
})

void t.test('samples that are left out are those of an idle context', (t) => {
  const skipped = filled(12, 2)
  skipped.add(40, 1)
  const all = filled(12, 2)
  for (let sample = 13; sample < 40; sample++) all.add(sample, 0)
  all.add(40, 1)
  t.same(skipped.at(40), all.at(40))
  t.end()
})

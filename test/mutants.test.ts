/** The table of planted bugs fits the code; `npm run mutants` plants them. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { placeOf } from './support/mutants/place.js'
import { mutants } from './support/mutants/table.js'

const checkout = fileURLToPath(new URL('../../', import.meta.url))

void t.test('each planted bug has its place, a name of its own and tests that are there', async (t) => {
  t.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length)
  for (const mutant of mutants) {
    t.doesNotThrow(() => placeOf(mutant, checkout), mutant.name)
    t.not(mutant.find, mutant.replace)
    for (const test of mutant.tests) t.ok(existsSync(`${checkout}test/${test}.test.ts`), test)
  }
})

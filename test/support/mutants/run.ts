/**
 * Plants bugs, one at a time, in a copy of the checkout and says which test notices: `npm run mutants`. As root.
 *
 *   npm run mutants -- [NAME…]     only those whose name has one of these words in it
 *
 * Exit code 1 when one is not noticed, or no longer fits the code.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { placeOf } from './place.js'
import { mutants, type Mutant } from './table.js'

const checkout = fileURLToPath(new URL('../../../../', import.meta.url))
const copy = join(checkout, 'build', 'mutants')
/** A test that notices by hanging has not noticed. */
const TEST_TIMEOUT_MS = 300_000

/** What git knows, what is built of it, and the modules as they are. */
function makeCopy(): void {
  rmSync(copy, { recursive: true, force: true })
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: checkout, encoding: 'utf8' }).split('\0').filter(Boolean)
  for (const file of [...files, 'dist', 'build/native', 'build/emulator']) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(checkout, file), join(copy, file), { recursive: true, preserveTimestamps: true })
  }
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
}

const make = () =>
  spawnSync('make', ['--silent', 'build', 'emulator'], {
    cwd: copy,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe']
  })

/** The first test that fails, or why none did. */
function verdictOn(mutant: Mutant): { noticed: boolean; text: string } {
  const file = placeOf(mutant, checkout, copy)
  const original = readFileSync(join(copy, file), 'utf8')
  writeFileSync(
    join(copy, file),
    original.replace(mutant.find, () => mutant.replace)
  )
  try {
    const built = make()
    if (built.status !== 0) return { noticed: false, text: `does not build: ${built.stderr.slice(0, 500)}` }
    for (const test of mutant.tests) {
      const path = join('dist', 'test', `${test}.test.js`)
      const { status, error } = spawnSync(process.execPath, [path], {
        cwd: copy,
        stdio: 'ignore',
        timeout: TEST_TIMEOUT_MS
      })
      if (error) return { noticed: false, text: `${test} hangs, or cannot run: ${error.message}` }
      if (status !== 0) return { noticed: true, text: test }
    }
    return { noticed: false, text: `${mutant.tests.join(', ')} pass` }
  } finally {
    writeFileSync(join(copy, file), original)
  }
}

const words = process.argv.slice(2)
const chosen = mutants.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
makeCopy()
let noticed = 0
for (const mutant of chosen) {
  let verdict
  try {
    verdict = verdictOn(mutant)
  } catch (error) {
    verdict = { noticed: false, text: (error as Error).message }
  }
  if (verdict.noticed) noticed++
  console.log(`${verdict.noticed ? 'noticed' : 'NOT NOTICED'}  ${mutant.name}: ${verdict.text}`)
}
rmSync(copy, { recursive: true, force: true })
console.log(`${noticed} of ${chosen.length} planted bugs noticed`)
process.exitCode = noticed === chosen.length && chosen.length > 0 ? 0 : 1

/** The checks of the structure notice what they are there for, each planted in a copy. */
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { run } from './support/command.js'

const checkout = fileURLToPath(new URL('../../', import.meta.url))

/** In build/, for below /tmp TypeScript would find no packages of the checkout. */
function copyOf(t: Test): string {
  const copy = mkdtempSync(join(checkout, 'build', 'structure-'))
  t.teardown(() => {
    rmSync(copy, { recursive: true })
  })
  for (const name of ['daemon', 'native', 'package.json', 'tsconfig.json', '.dependency-cruiser.js'])
    cpSync(join(checkout, name), join(copy, name), { recursive: true })
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
  writeFileSync(join(copy, 'native', 'fd_of_result.h'), '#include "fd.h"\n')
  return copy
}

const cruise = (copy: string) =>
  run(join(checkout, 'node_modules', '.bin', 'depcruise'), ['--config', '.dependency-cruiser.js', 'daemon'], {
    cwd: copy
  })
const structure = (copy: string) => run(process.execPath, [join(checkout, 'dist/test/support/structure.js'), copy])

void t.test('the checkout itself is in order', async (t) => {
  const copy = copyOf(t)
  for (const check of [cruise, structure]) {
    const { code, stdout, stderr } = await check(copy)
    t.equal(code, 0, stdout + stderr)
  }
})

const planted: [what: string, file: string, text: string, check: typeof cruise, says: RegExp][] = [
  [
    'a circle of imports, of types alone',
    'daemon/vocabulary/names.ts',
    "import type { WordView } from './word.js'\nexport type Planted = WordView\n",
    cruise,
    /no circle: daemon\/vocabulary\/(names|word)\.ts →/
  ],
  [
    'an arrow up',
    'daemon/logs/lines.ts',
    "import type { Config } from '../config.js'\nexport type Planted = Config\n",
    cruise,
    /logs: nothing above: daemon\/logs\/lines\.ts → daemon\/config\.ts/
  ],
  [
    'a driver that needs another',
    'daemon/drivers/memory/programs.ts',
    "import type { Ends } from '../namespaces/ends.js'\nexport type Planted = Ends\n",
    cruise,
    /each kind of driver by itself: daemon\/drivers\/memory\/programs\.ts/
  ],
  [
    'a circle of includes',
    'native/fd.h',
    '#include "result.h"\n#include "fd_of_result.h"\n',
    structure,
    /a circle of includes: native\/fd(_of_result)? -> native\/fd(_of_result)? -> native\/fd(_of_result)?; take out/
  ],
  [
    'an include of what is above',
    'native/launcher/protocol/spec.h',
    '#include "../process/pipes.h"\n',
    structure,
    /spec\.h includes native\/launcher\/process\/pipes\.h, which is above it/
  ],
  [
    'a file of daemon/ with two subjects',
    'daemon/package.ts',
    '\n'.repeat(301),
    structure,
    /daemon\/package\.ts has \d+ lines, more than 300: it has two subjects/
  ],
  [
    'a file of native/ with two subjects',
    'native/fd.h',
    '\n'.repeat(301),
    structure,
    /native\/fd\.h has \d+ lines, more than 300: it has two subjects/
  ]
]

for (const [what, file, text, check, says] of planted)
  void t.test(`${what} is noticed`, async (t) => {
    const copy = copyOf(t)
    appendFileSync(join(copy, file), text)
    const { code, stdout, stderr } = await check(copy)
    t.not(code, 0)
    t.match(stdout + stderr, says)
  })

void t.test('a long file that gives a reason in its first line is left alone', async (t) => {
  const copy = copyOf(t)
  writeFileSync(join(copy, 'daemon', 'long.ts'), `// 302 lines: one table${'\n'.repeat(302)}`)
  t.notMatch((await structure(copy)).stderr, /long\.ts/)
})

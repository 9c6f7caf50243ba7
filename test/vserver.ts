/**
 * `npm run test:vserver`: all that concerns the vserver driver, on the kernel that this is: a Linux-VServer kernel, or one
 * that `dist/test/emulator/emulator -- npm run test:vserver` plays. In a built checkout, as root; it may be read-only.
 */
import { spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { hasVserver } from './support/emulator.js'

const files = [
  'conformance/vserver',
  'drivers/vserver/kernel',
  'drivers/vserver/machine',
  'drivers/vserver/select',
  'native/vserver',
  ...['kernel', 'old-kernel', 'helper', 'waits', 'restart', 'faults', 'trace', 'soak'].map(
    (name) => `e2e/vserver-${name}`
  ),
  ...['guest', 'containment', 'hostile-guest', 'capture', 'log', 'log-limits', 'journal', 'events', 'bad-input'].map(
    (name) => `e2e/${name}`
  )
]

interface Tally {
  total: number
  pass: number
  fail: number
  skip: number
}

/** tap's last word: `# { total: 12, pass: 11, skip: 1 }`. */
function tallyOf(tap: string): Tally {
  const [, text = ''] = /^# \{ (total: .*) \}$/m.exec(tap) ?? []
  const number = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(text)?.[1] ?? 0)
  return { total: number('total'), pass: number('pass'), fail: number('fail'), skip: number('skip') }
}

if (!hasVserver()) {
  writeSync(2, 'test:vserver: this is no Linux-VServer kernel, or not root; see CONTRIBUTING.md for the emulator\n')
  process.exit(2)
}
const sum = { passed: 0, failed: 0, skipped: 0 }
const wanted = process.argv.slice(2)
const failed: string[] = []
for (const name of files.filter((file) => wanted.length === 0 || wanted.includes(file))) {
  const file = fileURLToPath(new URL(`${name}.test.js`, import.meta.url))
  const began = performance.now()
  const { status, signal, stdout } = spawnSync(process.execPath, [file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 30
  })
  const tally = tallyOf(stdout)
  if (status !== 0) {
    failed.push(name)
    tally.fail ||= 1
    writeSync(1, stdout)
  }
  sum.passed += tally.pass
  sum.failed += tally.fail
  sum.skipped += tally.skip
  const how = status === 0 ? 'ok' : `not ok (${signal ?? `exit code ${status}`})`
  const seconds = Math.round((performance.now() - began) / 1000)
  writeSync(1, `${how} ${name}: ${tally.pass} of ${tally.total}, ${tally.skip} skipped, ${seconds} s\n`)
}
if (failed.length > 0) writeSync(1, `failed: ${failed.join(' ')}\n`)
writeSync(1, `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`)
process.exitCode = failed.length > 0 ? 1 : 0

/** `npm run conformance -- --driver NAME`: the conformance suite against one driver, in a built checkout. */
import { writeSync } from 'node:fs'
import { parseArgs } from 'node:util'

const drivers = ['memory', 'namespaces', 'vserver']
const usage = `usage: npm run conformance -- --driver ${drivers.join('|')}

Starts a daemon with this driver, runs the conformance suite against it and prints TAP, then
"N passed, N failed, N skipped". namespaces and vserver need root and a kernel that has them.

exit code: 0 all passed, 1 a test failed, 2 bad usage
`

function refuse(reason: string): never {
  writeSync(2, `conformance: ${reason}\n\n${usage}`)
  process.exit(2)
}

function readOptions(): { driver?: string | undefined; help?: boolean | undefined } {
  try {
    return parseArgs({ options: { driver: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }).values
  } catch (error) {
    return refuse((error as Error).message)
  }
}

const { driver, help } = readOptions()
if (help) {
  writeSync(1, usage)
  process.exit(0)
}
if (driver === undefined) refuse('--driver is missing')
if (!drivers.includes(driver)) refuse(`there is no driver ${JSON.stringify(driver)}`)

// Only now: importing tap starts its output.
const { conformance } = await import('./suite.js')
const { passed, failed, skipped } = await conformance(driver)
process.exitCode = failed > 0 ? 1 : 0
// tap ends its own output when the process does.
process.on('exit', () => {
  writeSync(1, `${passed} passed, ${failed} failed, ${skipped} skipped\n`)
})

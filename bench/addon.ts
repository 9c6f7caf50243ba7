/** (e) What the addon itself costs a GET of the vserver driver, with a system call that answers at once. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { emulatorPath } from '../test/support/emulator.js'
import type { Measure } from './bench.js'
import { atMost, type Row } from './report.js'
import { median, quantile } from './stats.js'

const BUDGET_US = 5
const loopPath = fileURLToPath(new URL('addon-loop.js', import.meta.url))

export const addon: Measure = async ({ stop, progress }) => {
  progress('e: native calls of each GET')
  const { stdout } = await promisify(execFile)(emulatorPath, ['--stub', '--', process.execPath, loopPath], {
    signal: stop,
    maxBuffer: 16 << 20
  })
  const rows: Row[] = Object.entries(JSON.parse(stdout) as Record<string, number[]>).map(([path, turns]) => ({
    what: `GET ${path}`,
    ours: `${median(turns).toFixed(2)} us, p90 ${quantile(turns, 0.9).toFixed(2)}`,
    budget: atMost(median(turns), BUDGET_US, ' us')
  }))
  return { title: '(e) native calls of a GET, vserver', rows }
}

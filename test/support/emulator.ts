/** The emulator of vserver(2), which is built from test/emulator. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const emulatorPath = fileURLToPath(new URL('../emulator/emulator', import.meta.url))

/** What the emulator tells those who run under it. */
export const isEmulated = () => process.env.CONTEXTD_PROC_VIRTUAL !== undefined

/**
 * Runs this test file once more, under the emulator, and ends with its exit code: for tests that start more than one
 * daemon, for the contexts of an emulator end with it. Returns when it runs under the emulator already.
 */
export function rerunEmulated(file: string, options: string[] = []): void {
  if (isEmulated()) return
  const { status } = spawnSync(emulatorPath, [...options, '--', process.execPath, fileURLToPath(file)], {
    stdio: 'inherit'
  })
  process.exit(status ?? 1)
}

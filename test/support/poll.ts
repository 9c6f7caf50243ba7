import { setTimeout as sleep } from 'node:timers/promises'

const STEP_MS = 10
/** Long, for a loaded or an emulated machine; only what fails takes it. */
const PATIENCE_MS = 60_000

/**
 * For all tests of a file, of which some take long. Not 0, which lifts the runner's limit too: what hangs would hang
 * the run, and not be named.
 */
export const FILE_LIMIT_MS = 600_000

/**
 * Looks again and again until there is something to see, and returns it.
 * @param what for the message when it never comes
 */
export async function until<T>(what: string, look: () => T | Promise<T>, timeoutMs = PATIENCE_MS): Promise<T & {}> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`)
    await sleep(STEP_MS)
  }
}

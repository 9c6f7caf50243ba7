import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A new directory, removed when the test is over. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

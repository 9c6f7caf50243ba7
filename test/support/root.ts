/** A small root filesystem for guests: some programs of this machine and the libraries they load. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'

const librariesOf = (program: string) =>
  execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/[^\s:]+(?= \(0x)/g) ?? []

/** Returns its path; the file /marker is in it. Removed when the test is over. */
export function guestRoot(t: Test, programs: string[]): string {
  const root = mkdtempSync(join(tmpdir(), 'contextd-root-'))
  t.teardown(() => {
    rmSync(root, { recursive: true })
  })
  for (const file of new Set([...programs, ...programs.flatMap(librariesOf)])) {
    mkdirSync(join(root, dirname(file)), { recursive: true })
    copyFileSync(file, join(root, file)) // follows links, keeps the mode
  }
  writeFileSync(join(root, 'marker'), 'the guest root\n')
  return root
}

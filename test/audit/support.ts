/** Audit logs made for tests, and places for them. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { seal, START, type AuditRecord, type Head } from '../../daemon/audit/record.js'
import { verify, type Verdict } from '../../daemon/audit/verify.js'

/** A directory that is gone after the test. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

/** A disk of so many KiB, mounted for the test alone; needs root. */
export function smallDisk(t: Test, kib: number): string {
  const path = join(folder(t), 'disk')
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'contextd-test', path])
  t.teardown(() => execFileSync('umount', ['--lazy', path]))
  return path
}

/** Writes a file until the disk is full; returns what makes room again. */
export function fill(disk: string): () => void {
  const path = join(disk, 'filler')
  const fd = openSync(path, 'w')
  const block = Buffer.alloc(4096)
  try {
    for (;;) writeSync(fd, block)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(fd)
  }
  return () => {
    rmSync(path)
  }
}

const record = (number: number): AuditRecord => ({
  request_id: `req-${number}`,
  caller: { uid: 0, gid: 0, pid: 4711, executable: '/usr/bin/curl' },
  action: 'configure',
  method: 'PATCH',
  path: `/contexts/${(number % 3) + 100}/flags`,
  xid: (number % 3) + 100,
  calls: [
    { call: 'vx_flags_set', args: [100, { flags: '0x0000000000000001', mask: '0x0000000000000001' }], errno: null }
  ],
  changes: [],
  status: 200,
  problem: null
})

/** So many lines, each with its line feed, after `head`. */
export function chainOf(count: number, head: Head = START): { lines: string[]; head: Head } {
  const lines: string[] = []
  for (let number = 1; number <= count; number++) {
    const sealed = seal(record(number), head)
    lines.push(sealed.line)
    head = sealed.head
  }
  return { lines, head }
}

/** Writes `content` to a file and verifies that. */
export async function verified(t: Test, content: string | Buffer, ...anchors: Head[]): Promise<Verdict> {
  const path = join(folder(t), 'audit.log')
  writeFileSync(path, content)
  return verify([path], { anchors })
}

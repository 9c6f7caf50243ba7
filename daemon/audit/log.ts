import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { NativeCall } from '../contexts/audited.js'
import { formatWord } from '../vocabulary/word.js'

/** One write: who asked what of which context, which calls that made, and how it ended. */
export interface AuditRecord {
  time: string
  request_id: string
  caller: { uid: number; gid: number; pid: number } | null
  method: string
  path: string
  xid: number | null
  calls: NativeCall[]
  status: number
}

/** A file of one JSON line a write, appended before the answer is sent. */
export class AuditLog {
  readonly #fd: number

  /** Makes the directory (0750) and the file (0640) when they are missing. */
  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
    this.#fd = openSync(path, 'a', 0o640)
  }

  /** Words are written as the API shows them. A line is one write(2), so that lines never mix. */
  append(record: AuditRecord): void {
    const line = JSON.stringify(record, (_key, value: unknown) =>
      typeof value === 'bigint' ? formatWord(value) : value
    )
    writeSync(this.#fd, `${line}\n`)
  }

  close(): void {
    closeSync(this.#fd)
  }
}

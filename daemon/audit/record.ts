/** A line of the audit log, and how it is chained to the line before. */
import crypto from 'node:crypto'
import type { Change, NativeCall } from '../contexts/audited.js'
import type { HelperCall } from '../drivers/driver.js'

export interface Caller {
  uid: number
  gid: number
  pid: number
  /** What /proc/PID/exe named when the peer connected; null when it could not be read. */
  executable: string | null
  /** The context of a peer that is in one. */
  xid?: number
}

/** What is known of a request before it is carried out. */
export interface Intent {
  /** ISO 8601. */
  begun: string
  request_id: string
  caller: Caller | null
  action: string
  method: string
  path: string
  xid: number | null
}

/** One write or denial: who asked what of which context, which calls that made, what changed, and how it ended. */
export interface AuditRecord extends Omit<Intent, 'begun'> {
  /** When it was begun, of a write that was. */
  begun?: string
  calls: NativeCall[]
  changes: Change[]
  status: number
  /** The type of the problem that was answered. */
  problem: string | null
}

/** What a guest asked of the host, which no request made. */
export interface HelperRecord extends HelperCall {
  event: 'helper'
}

/** What the log says of itself. */
export type LogEvent =
  /** A write that was under way when the daemon was killed: done, half done or not done. */
  | ({ event: 'interrupted' } & Intent)
  /** Lines that could not be written, when and why; never given a number. */
  | { event: 'gap'; missing: number; since: string; reason: string }
  /** Lines that were written and are not in the file any more; their numbers are not used again. */
  | { event: 'lost'; lines: number }
  /** Bytes that a crash left of a line, in base64; at most TORN_KEPT of them. */
  | { event: 'torn'; bytes: number; base64: string }
  /** Denials beyond what a peer gets lines for. */
  | { event: 'denials'; uid: number | null; peer_xid: number; count: number; since: string; until: string }

export type LogRecord = AuditRecord | HelperRecord | LogEvent

/** The end of a chain: number and SHA-256 of the last line, its line feed not included. */
export interface Head {
  seq: number
  sha256: string
}

/** What the first line of all follows. */
export const START: Head = { seq: 0, sha256: '0'.repeat(64) }

export interface Sealed {
  /** With its line feed. */
  line: string
  head: Head
}

/** In one call since Node 20.12. */
const { hash } = crypto as { hash?: typeof crypto.hash }
const sha256 = (data: string | Buffer) =>
  hash ? hash('sha256', data) : crypto.createHash('sha256').update(data).digest('hex')

const SUM = /,"sum":"([0-9a-f]{64})"\}$/
const SUM_BYTES = ',"sum":""}'.length + 64

/**
 * `seq`, `prev` (the SHA-256 of the line before) and `time` before the record, `sum` (the SHA-256 of everything before
 * it in this line) after it.
 */
export function seal(record: LogRecord, { seq: before, sha256: prev }: Head): Sealed {
  const seq = before + 1
  const time = 'time' in record ? undefined : new Date().toISOString()
  // One object of both would be copied each time.
  const open = JSON.stringify({ seq, prev, time }).slice(0, -1) + ',' + JSON.stringify(record).slice(1, -1)
  const whole = `${open},"sum":"${sha256(open)}"}`
  return { line: `${whole}\n`, head: { seq, sha256: sha256(whole) } }
}

export interface Unsealed {
  head: Head
  prev: string
  record: Record<string, unknown> & { seq: number; time: string; event?: string }
}

/**
 * @param line without its line feed
 * @returns the record, or why the line is none
 */
export function unseal(line: Buffer): Unsealed | string {
  const end = line.subarray(-SUM_BYTES).toString('latin1')
  const sum = SUM.exec(end)?.[1]
  const parsed = parse(line)
  if (parsed === undefined) return 'is not JSON'
  const { seq, prev, time } = parsed
  if (sum === undefined || !Number.isSafeInteger(seq) || typeof prev !== 'string' || typeof time !== 'string')
    return 'is not a record of an audit log'
  if (sha256(line.subarray(0, -SUM_BYTES)) !== sum) return 'was changed: its sum is another one'
  return { head: { seq: seq as number, sha256: sha256(line) }, prev, record: parsed as Unsealed['record'] }
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Pages of the audit log for clients, read beside the daemon's work. */
import { exactTime } from '../vocabulary/time.js'
import { inOrder, linesOf, rotatedFiles, seqOf, startFor } from './lines.js'

/** A page ends after so many lines that were looked at, matching or not; the next one goes on there. */
const EXAMINED_MAX = 20_000

/** Text of a page that is full, bytes; one line more may be in it. */
const PAGE_MAX = 1024 * 1024

export interface PageQuery {
  /** Lines beyond this number. */
  after: number
  limit: number
  xid?: number | undefined
  /** Lines not written before, by exactTime(). */
  since?: string | undefined
  /** Whether the caller may read this line. */
  isVisible: (line: AuditLine) => boolean
}

/** What every line has, and what some have. */
export interface AuditLine {
  time: string
  begun?: string
  /** Absent or null of what is about no context. */
  xid?: number | null
  caller?: { uid: number } | null
}

export interface Page {
  /** Each as it is in the file. */
  lines: string[]
  /** What to ask for as `after` next; null when there is nothing more. */
  next: number | null
}

/** Lines that are damaged are left out. Rejects with the signal's reason when it aborts. */
export async function readPage(path: string, query: PageQuery, signal: AbortSignal): Promise<Page> {
  const parts = (await inOrder(await rotatedFiles(path))).filter(({ first }) => first !== undefined)
  const from = parts.findLastIndex(({ first = 0 }) => first <= query.after + 1)
  const lines: string[] = []
  let [examined, bytes] = [0, 0]
  for (const [index, part] of parts.slice(Math.max(0, from)).entries()) {
    const start = index === 0 ? await startFor(part.path, query.after) : 0
    for await (const batch of linesOf(part.path, start)) {
      signal.throwIfAborted()
      for (const { data, isWhole } of batch) {
        const seq = seqOf(data)
        if (!isWhole || seq === undefined || seq <= query.after) continue
        examined++
        const text = data.toString()
        if (!matches(text, query)) continue
        lines.push(text)
        bytes += data.length
        if (lines.length >= query.limit || bytes >= PAGE_MAX) return { lines, next: seq }
      }
      const last = batch.at(-1)
      const seq = last && seqOf(last.data)
      if (examined >= EXAMINED_MAX && seq !== undefined) return { lines, next: seq }
    }
  }
  return { lines, next: null }
}

function matches(text: string, { xid, since, isVisible }: PageQuery): boolean {
  try {
    const line = JSON.parse(text) as AuditLine
    if (xid !== undefined && line.xid !== xid) return false
    return (since === undefined || (exactTime(line.time) ?? '') >= since) && isVisible(line)
  } catch {
    return false
  }
}

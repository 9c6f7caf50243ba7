/** Pages of the audit log for clients, read beside the daemon's work. */
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
  /** Lines not written before, ISO 8601 in UTC with milliseconds. */
  since?: string | undefined
  /** Whether the caller may read lines about this context; null of those about none. */
  isVisible: (xid: number | null) => boolean
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
    const record = JSON.parse(text) as { xid?: number | null; time?: unknown }
    if (xid !== undefined && record.xid !== xid) return false
    return (since === undefined || String(record.time) >= since) && isVisible(record.xid ?? null)
  } catch {
    return false
  }
}

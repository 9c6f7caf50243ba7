/** Proves the chain of an audit log over all its files, or names the first line that breaks it. */
import { inOrder, linesOf, type Line } from './lines.js'
import { START, unseal, type Head, type Unsealed } from './record.js'

export interface Verdict {
  /** In the order in which they follow each other. */
  files: { path: string; lines: number; first: number | null; last: number | null }[]
  lines: number
  first: Unsealed | undefined
  last: Head | undefined
  /** What the log says of itself, and what cannot be known from these files. */
  notes: string[]
  /** Why the log is not all that was written. Empty: it is. */
  faults: string[]
}

export interface VerifyOptions {
  /** Lines that are known from elsewhere. */
  anchors?: Head[]
  /** Told every now and then how many lines of which file are done. */
  onProgress?: (path: string, lines: number) => void
}

class Broken extends Error {}

/** Files in any order; those that end in .gz are uncompressed. Rejects when one cannot be read. */
export async function verify(paths: readonly string[], options: VerifyOptions = {}): Promise<Verdict> {
  const verdict: Verdict = { files: [], lines: 0, first: undefined, last: undefined, notes: [], faults: [] }
  const anchors = new Map((options.anchors ?? []).map(({ seq, sha256 }) => [seq, sha256]))
  try {
    for (const { path } of await inOrder(paths)) {
      const file = { path, lines: 0, first: null, last: null } as Verdict['files'][number]
      verdict.files.push(file)
      for await (const lines of linesOf(path)) {
        for (const line of lines) {
          const { seq } = follow(line, `${path}:${line.number}`, verdict)
          check(anchors, verdict.last, `${path}:${line.number}`)
          file.first ??= seq
          file.last = seq
          file.lines++
        }
        options.onProgress?.(path, file.lines)
      }
    }
    for (const seq of anchors.keys()) throw new Broken(`line ${seq}, which is known from elsewhere, is not there`)
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    verdict.faults.push(error.message)
  }
  return verdict
}

/** @throws Broken when the line does not follow the last one */
function follow({ data, isWhole }: Line, where: string, verdict: Verdict): Head {
  if (!isWhole) throw new Broken(`${where}: the line is not whole: ${data.length} bytes without a line feed`)
  const line = unseal(data)
  if (typeof line === 'string') throw new Broken(`${where}: the line ${line}`)
  const { head, prev, record } = line
  const before = verdict.last ?? (head.seq === 1 ? START : undefined)
  if (before) {
    const lost = record.event === 'lost' ? Number(record.lines) : 0
    const expected = before.seq + lost + 1
    if (head.seq !== expected)
      throw new Broken(`${where}: the sequence number is ${head.seq}, and ${expected} was expected`)
    if (prev !== before.sha256)
      throw new Broken(`${where}: the line does not follow the one before: that one was changed or replaced`)
  } else verdict.notes.push(`${where}: begins with line ${head.seq}; lines before it are not in these files`)
  remark(line, where, verdict)
  verdict.first ??= line
  verdict.last = head
  verdict.lines++
  return head
}

/** What the log itself says about lines that are not as they should be. */
function remark({ head, record }: Unsealed, where: string, { notes, faults }: Verdict): void {
  switch (record.event) {
    case 'torn':
      notes.push(`${where}: a crash left ${Number(record.bytes)} bytes of a line here`)
      break
    case 'gap':
      notes.push(`${where}: ${Number(record.missing)} lines could not be written (${String(record.reason)})`)
      break
    case 'interrupted':
      notes.push(`${where}: the daemon was killed during a ${String(record.method)} of ${String(record.path)}`)
      break
    case 'lost':
      faults.push(`${where}: lines ${head.seq - Number(record.lines)} to ${head.seq - 1} were written and are gone`)
  }
}

function check(anchors: Map<number, string>, head: Head | undefined, where: string): void {
  const known = head && anchors.get(head.seq)
  if (!known) return
  if (known !== head.sha256) throw new Broken(`${where}: the line is not the one that is known from elsewhere`)
  anchors.delete(head.seq)
}

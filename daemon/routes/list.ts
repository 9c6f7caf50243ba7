import { Readable } from 'node:stream'
import type { Rendering } from '../contexts/renderings.js'

/** Characters that are written at a time. */
const PIECE_LENGTH = 32_768

export interface ListText {
  /** Of all of it. */
  bytes: number
  text: Readable
}

/**
 * `{"contexts":[…],"next":…}`, piece by piece. Joined and encoded as a whole, a long one would take memory that is new to
 * the process each time, and a slow reader would have the daemon keep it.
 */
export function listText(contexts: readonly Rendering[], next: number | null): ListText {
  const [head, tail] = ['{"contexts":[', `],"next":${next}}\n`]
  const commas = Math.max(contexts.length - 1, 0)
  const bytes = contexts.reduce((sum, context) => sum + context.bytes, head.length + commas + tail.length)
  const rest = pieces(head, contexts, tail)
  const text = new Readable({
    objectMode: true, // strings, as they are
    highWaterMark: 1,
    read() {
      const piece = rest.next()
      this.push(piece.done ? null : piece.value)
    }
  })
  return { bytes, text }
}

function* pieces(head: string, contexts: readonly Rendering[], tail: string): Generator<string, undefined> {
  let piece = head
  for (const [i, { json }] of contexts.entries()) {
    piece += i === 0 ? json : `,${json}`
    if (piece.length < PIECE_LENGTH) continue
    yield piece
    piece = ''
  }
  yield piece + tail
  return undefined
}

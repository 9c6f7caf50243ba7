/** Lines of a log: `2016-10-06T00:17:09.669794202Z stdout F text`, the format of the CRI. All before the text is of one size. */
import type { FileHandle } from 'node:fs/promises'
import type { LogQuery } from './logs.js'

const TIME_SIZE = '2016-10-06T00:17:09.669794202Z'.length
const STREAM_AT = TIME_SIZE + 1
const STREAM_SIZE = 'stdout'.length
const NEWLINE = 10

/** Larger than any line (native/launcher/log/sink.h). */
export const CHUNK = 65_536

/** As it stands in a log. */
export const timeOf = (date: Date) => `${date.toISOString().slice(0, -1)}000000Z`

/** A line of our own, for who reads. */
export const notice = (text: string) => Buffer.from(`${timeOf(new Date())} stderr F contextd: ${text}\n`)

/** Whether a line is asked for; undefined: all are. */
export type Wanted = ((line: Buffer) => boolean) | undefined

export function wantedBy({ stream, since }: LogQuery): Wanted {
  if (stream === undefined && since === undefined) return undefined
  const from = since ?? ''
  return (line) =>
    (stream === undefined || line.toString('latin1', STREAM_AT, STREAM_AT + STREAM_SIZE) === stream) &&
    line.toString('latin1', 0, TIME_SIZE) >= from
}

/** The lines of a block of whole lines that are wanted. */
export function pick(block: Buffer, wanted: Wanted): Buffer {
  if (!wanted) return block
  const lines: Buffer[] = []
  for (let at = 0; at < block.length;) {
    const end = block.indexOf(NEWLINE, at) + 1
    const line = block.subarray(at, end)
    if (wanted(line)) lines.push(line)
    at = end
  }
  return Buffer.concat(lines)
}

/** How many of these bytes are whole lines. */
export const wholeLines = (block: Buffer) => block.lastIndexOf(NEWLINE) + 1

/**
 * Looks from the end of a file for so many lines.
 * @returns where the first of them starts, and how many there are
 */
export async function startOfTail(
  file: FileHandle,
  size: number,
  count: number,
  wanted: Wanted
): Promise<{ at: number; found: number }> {
  let found = 0
  if (count === 0) return { at: size, found }
  // The end of a line whose start is further up.
  let rest = Buffer.alloc(0)
  for (let at = size; at > 0;) {
    const from = Math.max(0, at - CHUNK)
    const block = Buffer.alloc(at - from + rest.length)
    await file.read(block, 0, at - from, from)
    rest.copy(block, at - from)
    let stop = block.length
    for (;;) {
      const start = stop > 1 ? block.lastIndexOf(NEWLINE, stop - 2) + 1 : 0
      if (start === 0 && from > 0) break
      if (stop > 0 && (!wanted || wanted(block.subarray(start, stop))) && ++found === count)
        return { at: from + start, found }
      stop = start
      if (start === 0) break
    }
    rest = block.subarray(0, stop)
    at = from
  }
  return { at: 0, found }
}

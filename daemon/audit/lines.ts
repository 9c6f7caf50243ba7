/** The lines of log files, rotated and compressed ones too, read as a stream. */
import { createReadStream } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { LINE_MAX } from './file.js'

/** Read at once, bytes: what is done with so many lines blocks nobody. */
const CHUNK = 64 * 1024

const LINE_FEED = 0x0a

/** What is without its end yet may be half of a write(2). */
const SETTLE_TRIES = 5
const SETTLE_MS = 50

export interface Line {
  /** From 1. */
  number: number
  /** Without the line feed. */
  data: Buffer
  /** It has its line feed. */
  isWhole: boolean
}

const isCompressed = (path: string) => path.endsWith('.gz')

function streamOf(path: string, start: number): Readable {
  const file = createReadStream(path, { start, highWaterMark: CHUNK })
  if (!isCompressed(path)) return file
  const unzipped = createGunzip({ chunkSize: CHUNK })
  file.on('error', (error) => unzipped.destroy(error))
  return file.pipe(unzipped)
}

/**
 * The lines, in one array for each piece that was read. The last one may be without its line feed; one that is too long
 * is the last one too.
 * @param start of a plain file, bytes: where a line begins
 */
export async function* linesOf(path: string, start = 0): AsyncGenerator<Line[]> {
  let rest: Buffer = Buffer.alloc(0)
  let number = 0
  let position = start
  for (let tries = 0; tries <= SETTLE_TRIES; tries++) {
    for await (const chunk of streamOf(path, position) as AsyncIterable<Buffer>) {
      position += chunk.length
      const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
      const lines: Line[] = []
      let from = 0
      for (let to = data.indexOf(LINE_FEED); to >= 0; to = data.indexOf(LINE_FEED, from)) {
        lines.push({ number: ++number, data: data.subarray(from, to), isWhole: true })
        from = to + 1
      }
      if (lines.length > 0) yield lines
      rest = data.subarray(from)
      if (rest.length > LINE_MAX) break
    }
    if (rest.length === 0) return
    if (isCompressed(path) || rest.length > LINE_MAX) break
    await sleep(SETTLE_MS)
  }
  yield [{ number: number + 1, data: rest, isWhole: false }]
}

/** The number that a line begins with; undefined for what is no line of a log. */
export function seqOf(line: Buffer): number | undefined {
  const digits = /^\{"seq":(\d{1,15}),/.exec(line.subarray(0, 24).toString('latin1'))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export interface Part {
  path: string
  /** Of its first line that has a number; undefined when there is none. */
  first: number | undefined
}

async function firstOf(path: string): Promise<number | undefined> {
  for await (const lines of linesOf(path))
    for (const { data } of lines) {
      const seq = seqOf(data)
      if (seq !== undefined) return seq
    }
  return undefined
}

/** The files in the order of their numbers; those without any stay behind the one before them. */
export async function inOrder(paths: readonly string[]): Promise<Part[]> {
  const parts: (Part & { order: number })[] = []
  for (const path of paths) {
    const first = await firstOf(path)
    parts.push({ path, first, order: first ?? parts.at(-1)?.order ?? 0 })
  }
  return parts.sort((a, b) => a.order - b.order).map(({ path, first }) => ({ path, first }))
}

/** The log's file and what logrotate has made of earlier ones: `NAME.1`, `NAME-20260131`, each with or without .gz. */
export async function rotatedFiles(path: string): Promise<string[]> {
  const rotated = new RegExp(`^${escaped(basename(path))}([.-][0-9][0-9.-]*(\\.gz)?)?$`)
  const names = await readdir(dirname(path))
  return names.filter((name) => rotated.test(name)).map((name) => join(dirname(path), name))
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Where in a plain file to begin for lines beyond this number: a little before them. Bytes. */
export async function startFor(path: string, after: number): Promise<number> {
  if (after <= 0 || isCompressed(path)) return 0
  const file = await open(path)
  try {
    let low = 0
    let high = (await file.stat()).size
    const block = Buffer.alloc(CHUNK)
    while (high - low > CHUNK) {
      const middle = low + Math.floor((high - low) / 2)
      const { bytesRead } = await file.read(block, 0, CHUNK, middle)
      const begin = block.subarray(0, bytesRead).indexOf(LINE_FEED) + 1
      const seq = begin === 0 ? undefined : seqOf(block.subarray(begin, bytesRead))
      if (seq === undefined) break
      if (seq <= after) low = middle + begin
      else high = middle
    }
    return low
  } finally {
    await file.close()
  }
}

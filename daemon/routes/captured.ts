/** The answer to a captured process whose output is long: encoded piece by piece, as fast as the client takes it. */
import { Readable } from 'node:stream'

/** Bytes of output that are encoded at a time: 0.1 ms of the worst. */
const PIECE_BYTES = 16_384
/** Of a turn of the event loop, for all answers together. */
const TURN_MS = 1

/** Output up to this is answered as any other reply is. */
export const SHORT_OUTPUT = 65_536

/** Lets jobs run one after the other, not for long at a time: requests come first. */
class Turns {
  #jobs: (() => void)[] = []
  #next = 0

  run(job: () => void): void {
    this.#jobs.push(job)
    if (this.#jobs.length === 1) setImmediate(this.#turn)
  }

  readonly #turn = (): void => {
    const end = performance.now() + TURN_MS
    while (this.#next < this.#jobs.length && performance.now() < end) this.#jobs[this.#next++]?.()
    this.#jobs = this.#jobs.slice(this.#next)
    this.#next = 0
    if (this.#jobs.length > 0) setImmediate(this.#turn)
  }
}

const turns = new Turns()

/** `head` as JSON, with stdout and stderr after its own fields. */
export function capturedText(head: object, stdout: Buffer, stderr: Buffer): Readable {
  const rest = pieces(head, stdout, stderr)
  return new Readable({
    objectMode: true, // strings, as they are
    highWaterMark: 1,
    read() {
      turns.run(() => {
        if (this.destroyed) return
        const piece = rest.next()
        this.push(piece.done ? null : piece.value)
      })
    }
  })
}

function* pieces(head: object, stdout: Buffer, stderr: Buffer): Generator<string, undefined> {
  yield `${JSON.stringify(head).slice(0, -1)},"stdout":"`
  yield* escaped(stdout)
  yield '","stderr":"'
  yield* escaped(stderr)
  yield '"}\n'
  return undefined
}

function* escaped(bytes: Buffer): Generator<string, undefined> {
  for (let at = 0, end; at < bytes.length; at = end) {
    end = endOfCharacters(bytes, at + PIECE_BYTES)
    yield JSON.stringify(bytes.toString('utf8', at, end)).slice(1, -1)
  }
  return undefined
}

/** The last place up to `end` that splits no character of UTF-8; what is none becomes the same U+FFFD on either side. */
export function endOfCharacters(bytes: Buffer, end: number): number {
  if (end >= bytes.length) return bytes.length
  for (let back = 1; back <= 3; back++) {
    const byte = bytes[end - back] ?? 0
    if (byte < 0x80) return end
    if (byte < 0xc0) continue // it goes on with a character
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return length > back ? end - back : end
  }
  return end
}

/**
 * Who reads events. Nothing is queued for a reader but what its socket has not taken yet: each has a place in the
 * history, and one that the history has left behind is dropped. An event is delivered after the answer that it belongs
 * to, by work that takes a tenth of the time at most, however many read.
 */
import type { ServerResponse } from 'node:http'
import type { History, Kept, Position } from './history.js'

/** Longest stay in one turn of the event loop, ms. */
const SLICE_MS = 0.3
/** Pause after a round, by what it took. */
const PAUSE = 9
/** Written at once to one reader, bytes. */
const BATCH = 65_536
const HEARTBEAT_MS = 15_000
const HEARTBEAT = Buffer.from(':\n\n')
/** When a client that has lost its connection is to come back. */
const RETRY_MS = 1000

interface Batch {
  from: number
  to: number
  next: number
  bytes: Buffer
}

export class Readers {
  /** Of those that did not read, since the daemon was started. */
  dropped = 0
  readonly #readers = new Set<Reader>()
  #round: Iterator<Reader> | undefined
  #isDue = false
  /** Of the round under way, ms. */
  #spent = 0
  #rested = 0
  #pause: NodeJS.Timeout | undefined
  /** The next event when the last round began. */
  #delivered = 1
  #beats = 0
  #heart: NodeJS.Timeout | undefined
  #shared: Batch | undefined

  constructor(private readonly history: History) {}

  get size(): number {
    return this.#readers.size
  }

  /**
   * @param response whose head is written, and which nothing else writes to
   * @param wants undefined: everything
   */
  add(response: ServerResponse, { next, gap }: Position, wants?: (event: Kept) => boolean): void {
    const reader = new Reader(this, response, next, this.#beats, wants)
    this.#readers.add(reader)
    this.#heart ??= setInterval(() => {
      this.#beats++
      this.wake()
    }, HEARTBEAT_MS).unref()
    response.on('drain', () => {
      reader.isFull = false
      this.wake()
    })
    response.once('close', () => {
      this.#readers.delete(reader)
      if (this.#readers.size > 0) return
      clearInterval(this.#heart)
      this.#heart = undefined
    })
    // The id is the reader's place, should it come back before the first event.
    const told = gap && `event: gap\ndata: ${JSON.stringify({ type: 'gap', reason: gap })}\n`
    reader.write(Buffer.from(`retry: ${RETRY_MS}\nid: ${this.history.idOf(next - 1)}\n${told ?? ''}\n`))
    this.wake()
  }

  /** There is something to deliver. */
  wake(): void {
    if (this.#readers.size === 0) return
    if (this.#isDue) {
      this.#hurry()
      return
    }
    this.#isDue = true
    const pause = this.#rested - performance.now()
    if (pause < 1) setImmediate(this.#deliver)
    else this.#pause = setTimeout(this.#deliver, pause)
  }

  /** A burst of events ends a pause, or those who read would be taken for those who do not. */
  #hurry(): void {
    if (!this.#pause || this.history.next - this.#delivered < this.history.limit / 4) return
    clearTimeout(this.#pause)
    this.#pause = undefined
    setImmediate(this.#deliver)
  }

  /** Every stream ends, for the daemon does, after all that its reader takes: no later daemon has it. */
  end(): void {
    for (const reader of this.#readers) {
      while (reader.isBehind(this.history) && reader.deliver(this.history, this.#beats));
      reader.end()
    }
  }

  /** What all readers at this place get next. */
  batch(from: number): Batch {
    const to = this.history.next
    if (this.#shared?.from !== from || this.#shared.to !== to) this.#shared = this.collect(from)
    return this.#shared
  }

  collect(from: number, wants?: (event: Kept) => boolean): Batch {
    const { history } = this
    const parts: Buffer[] = []
    let next = from
    for (let size = 0; next < history.next && size < BATCH; next++) {
      const event = history.at(next)
      if (!event || (wants && !wants(event))) continue
      parts.push(event.bytes)
      size += event.bytes.length
    }
    const [first = Buffer.alloc(0), second] = parts
    return { from, to: history.next, next, bytes: second ? Buffer.concat(parts) : first }
  }

  readonly #deliver = (): void => {
    const began = performance.now()
    this.#pause = undefined
    if (!this.#round) this.#delivered = this.history.next
    const round = (this.#round ??= this.#readers.values())
    let now = began
    for (let turn = round.next(); !turn.done; turn = round.next()) {
      if (!turn.value.deliver(this.history, this.#beats)) {
        this.dropped++
        turn.value.drop()
      }
      now = performance.now()
      if (now - began < SLICE_MS) continue
      this.#spent += now - began
      setImmediate(this.#deliver)
      return
    }
    this.#rested = now + (this.#spent + now - began) * PAUSE
    this.#spent = 0
    this.#round = undefined
    this.#shared = undefined
    this.#isDue = false
    for (const reader of this.#readers) {
      if (!reader.isBehind(this.history)) continue
      this.wake()
      break
    }
  }
}

class Reader {
  /** Its socket has not taken all that was written. */
  isFull = false

  constructor(
    private readonly readers: Readers,
    private readonly response: ServerResponse,
    private next: number,
    private beats: number,
    private readonly wants: ((event: Kept) => boolean) | undefined
  ) {}

  write(bytes: Buffer): void {
    if (!this.response.write(bytes)) this.isFull = true
  }

  /** There is something that it could take. */
  isBehind(history: History): boolean {
    return !this.isFull && this.next < history.next
  }

  /** @returns false for one that has not read in time */
  deliver(history: History, beats: number): boolean {
    if (this.next < history.first) return false
    if (this.isFull) return true
    if (this.next < history.next) {
      const { next, bytes } = this.wants ? this.readers.collect(this.next, this.wants) : this.readers.batch(this.next)
      this.next = next
      if (bytes.length > 0) this.write(bytes)
    } else if (this.beats !== beats) this.write(HEARTBEAT)
    this.beats = beats
    return true
  }

  drop(): void {
    this.response.destroy()
  }

  end(): void {
    this.response.end()
  }
}

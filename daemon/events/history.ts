/** The last events, as the bytes that readers get. */
import { randomBytes } from 'node:crypto'
import type { EventType, Happening } from '../schemas/event.js'

/** Something that has happened, and when. */
export interface Record {
  happening: Happening
  /** Uid that has made the context: there is none to ask when it is gone. */
  owner: number | null
  /** ISO 8601. */
  time: string
  /** Of the write that has done it. */
  requestId: string | undefined
}

export class Kept {
  #bytes: Buffer | undefined

  constructor(
    private readonly id: string,
    private readonly record: Record
  ) {}

  get type(): EventType {
    return this.record.happening.type
  }

  get xid(): number {
    return this.record.happening.xid
  }

  get owner(): number | null {
    return this.record.owner
  }

  /** Shared by all readers, and made for the first one: most events have none. */
  get bytes(): Buffer {
    if (this.#bytes) return this.#bytes
    const { happening, time, requestId: request_id } = this.record
    const { type, xid, ...rest } = happening
    const data = JSON.stringify({ type, xid, time, request_id, ...rest })
    return (this.#bytes = Buffer.from(`id: ${this.id}\nevent: ${type}\ndata: ${data}\n\n`))
  }
}

/** Where a reader goes on. */
export interface Position {
  /** Number of the next event for it. */
  next: number
  /** Why it has not seen all before that. */
  gap?: 'expired' | 'unknown'
}

export class History {
  /** Of this run of the daemon: ids of another one are not taken for ours. */
  readonly #run = randomBytes(6).toString('hex')
  readonly #kept: Kept[] = []
  /** Number of the next event; the first one is 1. */
  #next = 1

  /** @param limit events that are kept */
  constructor(readonly limit: number) {}

  get next(): number {
    return this.#next
  }

  /** Number of the oldest event that is kept. */
  get first(): number {
    return Math.max(1, this.#next - this.limit)
  }

  add(record: Record): void {
    // A ring: the place of an event is its number.
    this.#kept[this.#next % this.limit] = new Kept(this.idOf(this.#next), record)
    this.#next++
  }

  /** @param number from `first` up to and without `next` */
  at(number: number): Kept | undefined {
    return this.#kept[number % this.limit]
  }

  idOf(number: number): string {
    return `${this.#run}-${number}`
  }

  /** Where to go on after an event; without one, with what comes. */
  after(id: string | undefined): Position {
    if (id === undefined) return { next: this.#next }
    const [, run, digits] = /^([0-9a-f]+)-(\d{1,15})$/.exec(id) ?? []
    const next = Number(digits) + 1
    if (run !== this.#run || next > this.#next) return { next: this.first, gap: 'unknown' }
    return next < this.first ? { next: this.first, gap: 'expired' } : { next }
  }
}

/** What happens to contexts, told in the order it happened, and of a write after its audit record. */
import type { Happening } from '../schemas/event.js'
import { History, type Record } from './history.js'
import { Readers } from './readers.js'

/** Events that are kept for those who come back. */
export const DEFAULT_HISTORY = 4096

export class Events {
  readonly history: History
  readonly readers: Readers
  /** Writes under way by the contexts they touch, the latest last. */
  readonly #writes = new Map<number, Announcements[]>()

  /** @param ownerOf the uid that has made a context; null: unknown */
  constructor(
    readonly ownerOf: (xid: number) => number | null,
    history = DEFAULT_HISTORY
  ) {
    this.history = new History(history)
    this.readers = new Readers(this.history)
  }

  /**
   * What no request tells of. A write to the context that is not audited yet comes first.
   * @param owner of the context, where it may be gone
   */
  tell(happening: Happening, owner = this.ownerOf(happening.xid)): void {
    const record = { happening, owner, time: new Date().toISOString(), requestId: undefined }
    const write = this.#writes.get(happening.xid)?.at(-1)
    if (write) write.keep(record)
    else this.publish(record)
  }

  publish(record: Record): void {
    this.history.add(record)
    this.readers.wake()
  }

  hold(xid: number, write: Announcements): void {
    const writes = this.#writes.get(xid)
    if (writes) writes.push(write)
    else this.#writes.set(xid, [write])
  }

  release(xid: number, write: Announcements): void {
    const rest = this.#writes.get(xid)?.filter((other) => other !== write) ?? []
    if (rest.length > 0) this.#writes.set(xid, rest)
    else this.#writes.delete(xid)
  }
}

/** The events of one write, and of its contexts meanwhile: kept back until its audit record is written. */
export class Announcements {
  /** Undefined once they are published: what comes later is told at once. */
  #kept: Record[] | undefined = []
  readonly #xids = new Set<number>()

  constructor(
    private readonly events: Events,
    private readonly requestId: string
  ) {}

  /** The write is about to touch this context. */
  hold(xid: number): void {
    if (!this.#kept || this.#xids.has(xid)) return
    this.#xids.add(xid)
    this.events.hold(xid, this)
  }

  /** The write has done this. */
  add(happening: Happening): void {
    const owner = this.events.ownerOf(happening.xid)
    const record = { happening, owner, time: new Date().toISOString(), requestId: this.requestId }
    if (this.#kept) this.keep(record)
    else this.events.publish(record)
  }

  keep(record: Record): void {
    this.#kept?.push(record)
  }

  /** Nothing of it has happened: it was undone. */
  forget(): void {
    if (this.#kept) this.#kept = []
  }

  publish(): void {
    const kept = this.#kept ?? []
    this.#kept = undefined
    for (const xid of this.#xids) this.events.release(xid, this)
    for (const record of kept) this.events.publish(record)
  }
}

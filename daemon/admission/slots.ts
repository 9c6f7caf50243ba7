import { Refusal } from '../refusal.js'
import { flagOf, type ServiceLimits } from './limits.js'

const ROOT = 0

/** Gives a slot back; another call does nothing. */
export type Release = () => void

/**
 * So many at a time. A uid other than root has half of them at most, so that nobody can lock out the others, or root.
 */
export class Slots {
  /** Of those that wanted one, since the daemon was started. */
  refused = 0
  #used = 0
  /** Root's have no bound of their own. */
  readonly #byUid = new Map<number, number>()
  readonly #share: number

  /**
   * @param what they are, in the plural
   * @param flag of the setting
   */
  constructor(
    readonly what: string,
    readonly flag: string,
    readonly limit: number
  ) {
    this.#share = Math.ceil(limit / 2)
  }

  get used(): number {
    return this.#used
  }

  /** @throws Refusal 429 when the uid has its share, 503 when all are taken */
  take(uid: number): Release {
    if (this.#used >= this.limit)
      throw this.#refusal(503, 'busy', `all ${this.limit} ${this.what} are in use (--${this.flag})`)
    if (uid !== ROOT) this.#takeShare(uid)
    this.#used++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#used--
      if (uid === ROOT) return
      const left = (this.#byUid.get(uid) ?? 1) - 1
      if (left > 0) this.#byUid.set(uid, left)
      else this.#byUid.delete(uid)
    }
  }

  #takeShare(uid: number): void {
    const own = this.#byUid.get(uid) ?? 0
    if (own >= this.#share)
      throw this.#refusal(429, 'share', `uid ${uid} has ${own} ${this.what}, half of all (--${this.flag})`)
    this.#byUid.set(uid, own + 1)
  }

  #refusal(status: number, type: string, detail: string): Refusal {
    this.refused++
    return new Refusal(status, type, `${detail}; try again later`)
  }
}

const kinds = {
  connections: 'connections',
  requests: 'requests under way',
  waiters: 'waits',
  captures: 'captures',
  logReaders: 'readers of logs',
  eventReaders: 'readers of events'
} as const satisfies Partial<Record<keyof ServiceLimits, string>>

export type SlotKind = keyof typeof kinds
export const slotKinds = Object.keys(kinds) as SlotKind[]
export type AllSlots = Record<SlotKind, Slots>

export const slotsOf = (limits: ServiceLimits): AllSlots =>
  Object.fromEntries(slotKinds.map((kind) => [kind, new Slots(kinds[kind], flagOf(kind), limits[kind])])) as AllSlots

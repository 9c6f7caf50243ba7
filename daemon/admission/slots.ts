import { Refusal } from '../refusal.js'
import { flagOf, type ServiceLimits } from './limits.js'

const ROOT = 0

/** Gives a slot back; another call does nothing. */
export type Release = () => void

/**
 * So many at a time. A uid other than root has half of them at most, and all of those together leave a quarter to root,
 * so that nobody can lock out the others, and however many together not root.
 */
export class Slots {
  /** Of those that wanted one, since the daemon was started. */
  refused = 0
  #used = 0
  #usedByRoot = 0
  /** Of uids other than root. */
  readonly #byUid = new Map<number, number>()
  readonly #share: number
  /** That are root's alone. */
  readonly #reserved: number

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
    this.#reserved = limit > 1 ? Math.ceil(limit / 4) : 0
  }

  get used(): number {
    return this.#used
  }

  /** @throws Refusal 429 when the uid has its share, 503 when all that it may have are taken */
  take(uid: number): Release {
    if (this.#used >= this.limit)
      throw this.#refusal(503, 'busy', `all ${this.limit} ${this.what} are in use (--${this.flag})`)
    if (uid === ROOT) this.#usedByRoot++
    else this.#takeShare(uid)
    this.#used++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#used--
      if (uid === ROOT) {
        this.#usedByRoot--
        return
      }
      const left = (this.#byUid.get(uid) ?? 1) - 1
      if (left > 0) this.#byUid.set(uid, left)
      else this.#byUid.delete(uid)
    }
  }

  #takeShare(uid: number): void {
    const own = this.#byUid.get(uid) ?? 0
    if (own >= this.#share)
      throw this.#refusal(429, 'share', `uid ${uid} has ${own} ${this.what}, half of all (--${this.flag})`)
    const others = this.#used - this.#usedByRoot
    if (others >= this.limit - this.#reserved)
      throw this.#refusal(
        503,
        'busy',
        `all ${others} ${this.what} that are not root's alone are in use (--${this.flag})`
      )
    this.#byUid.set(uid, own + 1)
  }

  #refusal(status: 429 | 503, type: 'share' | 'busy', detail: string): Refusal {
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

/** Denials as lines: a peer that asks again and again what it may not fills no disk, and hides nobody else's. */
import type { AuditLog } from './log.js'
import type { AuditRecord } from './record.js'

/** Lines of one uid (in one context) at once, and a second after that. */
const BURST = 50
const PER_SECOND = 1

/** Further ones are counted and written as one line after so long, milliseconds. */
const COUNTED_MS = 10_000

/** uids that are told apart at a time. */
const KEPT_MAX = 256

interface Allowance {
  left: number
  at: number
  counted: { count: number; since: string; until: string } | undefined
}

export class Denials {
  /** By uid and context; the one that was denied longest ago first. */
  readonly #allowances = new Map<string, Allowance>()
  #timer: NodeJS.Timeout | undefined

  constructor(readonly log: AuditLog) {}

  note(record: AuditRecord): void {
    const key = `${record.caller?.uid ?? ''}/${record.caller?.xid ?? 0}`
    const now = Date.now()
    const { left, at, counted } = this.#allowances.get(key) ?? { left: BURST, at: now, counted: undefined }
    const allowance = { left: Math.min(BURST, left + ((now - at) / 1000) * PER_SECOND), at: now, counted }
    this.#allowances.delete(key)
    this.#allowances.set(key, allowance)
    if (allowance.left >= 1) {
      allowance.left--
      this.log.append(record)
    } else {
      const time = new Date(now).toISOString()
      const { count, since } = counted ?? { count: 0, since: time }
      allowance.counted = { count: count + 1, since, until: time }
      this.#timer ??= setTimeout(() => {
        this.flush()
      }, COUNTED_MS).unref()
    }
    const [oldest] = this.#allowances.keys()
    if (this.#allowances.size > KEPT_MAX && oldest !== undefined) {
      this.#tell(oldest)
      this.#allowances.delete(oldest)
    }
  }

  /** Writes what was counted. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const key of this.#allowances.keys()) this.#tell(key)
  }

  #tell(key: string): void {
    const allowance = this.#allowances.get(key)
    if (!allowance?.counted) return
    const [uid, xid] = key.split('/')
    this.log.append({ event: 'denials', uid: uid ? Number(uid) : null, peer_xid: Number(xid), ...allowance.counted })
    allowance.counted = undefined
  }
}

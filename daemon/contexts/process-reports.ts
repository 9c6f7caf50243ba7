/** How processes have ended, for those who ask late. */
import type { ProcessEnd } from '../drivers/driver.js'
import type { ExitReport } from '../schemas/context.js'
import { decodeStatus, KEPT_MAX, KEPT_MS } from './exit-reports.js'

export interface ProcessReport extends ProcessEnd {
  /** Milliseconds since the epoch. */
  at: number
}

interface Kept {
  xid: number
  /** Undefined while it runs. */
  report: ProcessReport | undefined
}

export function processExit(xid: number, { pid, status, oomKilled }: ProcessEnd): ProcessExit {
  return { xid, pid, ...decodeStatus(status), raw_status: status, oom_killed: oomKilled }
}

type ProcessExit = Omit<ExitReport, 'reboot_cmd'> & { pid: number }

const keyOf = (xid: number, pid: number) => `${xid}/${pid}`

export class ProcessReports {
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>()
  /** How many there are of each context. */
  readonly #counts = new Map<number, number>()

  /** From now on its pid is not an earlier process's. */
  started(xid: number, pid: number): void {
    this.#put(keyOf(xid, pid), { xid, report: undefined })
  }

  ended(xid: number, end: ProcessEnd, now = Date.now()): void {
    this.#put(keyOf(xid, end.pid), { xid, report: { ...end, at: now } })
    for (const [key, { report }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && !(report && now - report.at > KEPT_MS)) break
      this.#remove(key)
    }
  }

  /** Undefined: nothing is known of it. Null: it was started, and its end has not been told of. */
  get(xid: number, pid: number, now = Date.now()): ProcessReport | null | undefined {
    const kept = this.#kept.get(keyOf(xid, pid))
    if (!kept) return undefined
    if (!kept.report) return null
    return now - kept.report.at <= KEPT_MS ? kept.report : undefined
  }

  /** Another context has the xid now. */
  forget(xid: number): void {
    if (!this.#counts.has(xid)) return
    for (const [key, kept] of this.#kept) if (kept.xid === xid) this.#remove(key)
  }

  #put(key: string, kept: Kept): void {
    this.#remove(key) // a Map keeps the order of insertion
    this.#kept.set(key, kept)
    this.#counts.set(kept.xid, (this.#counts.get(kept.xid) ?? 0) + 1)
  }

  #remove(key: string): void {
    const kept = this.#kept.get(key)
    if (!kept) return
    this.#kept.delete(key)
    const left = (this.#counts.get(kept.xid) ?? 1) - 1
    if (left > 0) this.#counts.set(kept.xid, left)
    else this.#counts.delete(kept.xid)
  }
}

import type { WaitResult } from '../drivers/driver.js'
import type { ExitReport } from '../schemas/context.js'
import { rebootName } from '../vocabulary/reboot.js'
import { signalName } from '../vocabulary/signals.js'

export const KEPT_MS = 10 * 60 * 1000
export const KEPT_MAX = 4096

/** Splits a wait(2) status word. */
export function decodeStatus(status: number): { exit_code: number | null; term_signal: string | null } {
  const signal = status & 0x7f
  return signal === 0
    ? { exit_code: (status >> 8) & 0xff, term_signal: null }
    : { exit_code: null, term_signal: signalName(signal) }
}

export function exitReport(xid: number, result: WaitResult): ExitReport {
  const { exit_code, term_signal } = decodeStatus(result.exit_code)
  return {
    xid,
    reboot_cmd: rebootName(result.reboot_cmd) ?? null,
    exit_code,
    term_signal,
    raw_status: result.exit_code,
    oom_killed: result.oom_killed
  }
}

interface Kept {
  report: ExitReport
  owner: number | null
  /** Driver.incarnation of the context, for what else is kept of it. */
  incarnation: bigint
  at: number
}

/** Reports of dead contexts, for those who ask late. */
export class ExitReports {
  readonly #reports = new Map<number, Kept>()

  /** @param owner the uid that had made the context */
  add(report: ExitReport, owner: number | null, now = Date.now(), incarnation = 0n): void {
    this.#reports.delete(report.xid) // a Map keeps the order of insertion: the oldest comes first
    this.#reports.set(report.xid, { report, owner, incarnation, at: now })
    for (const [xid, { at }] of this.#reports) {
      if (this.#reports.size <= KEPT_MAX && now - at <= KEPT_MS) break
      this.#reports.delete(xid)
    }
  }

  forget(xid: number): void {
    this.#reports.delete(xid)
  }

  get(xid: number, now = Date.now()): ExitReport | undefined {
    return this.#kept(xid, now)?.report
  }

  /** Undefined when there is no report. */
  ownerOf(xid: number, now = Date.now()): number | null | undefined {
    return this.#kept(xid, now)?.owner
  }

  incarnationOf(xid: number, now = Date.now()): bigint | undefined {
    return this.#kept(xid, now)?.incarnation
  }

  #kept(xid: number, now: number): Kept | undefined {
    const kept = this.#reports.get(xid)
    return kept && now - kept.at <= KEPT_MS ? kept : undefined
  }
}

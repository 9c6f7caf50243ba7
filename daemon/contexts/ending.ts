/** How contexts end: waits, exit reports, DELETE. */
import type { Driver } from '../drivers/driver.js'
import { CallError, whileThere } from '../drivers/errors.js'
import type { LogOwner } from '../logs/logs.js'
import type { Access } from '../policy/access.js'
import type { ExitReport } from '../schemas/context.js'
import { PERSISTENT, SCHED_PAUSE } from '../vocabulary/flags.js'
import { SIGKILL } from '../vocabulary/signals.js'
import { ExitReports, exitReport } from './exit-reports.js'
import type { Locks } from './locks.js'
import { isPaused } from './words.js'
import { clearFlag, isCode, killAll, noteWord, within, writesOf, type Applied, type Write } from './write.js'

export class Ending {
  readonly #driver: Driver
  readonly #locks: Locks
  readonly #reports = new ExitReports()
  readonly #stopping = new Set<number>()

  constructor(driver: Driver, locks: Locks) {
    this.#driver = driver
    this.#locks = locks
  }

  /** Keeps how a context has ended. @param at milliseconds since the epoch */
  note(report: ExitReport, owner: number | null, at: number, incarnation: bigint): void {
    this.#reports.add(report, owner, at, incarnation)
  }

  /** The report of another context that had this xid, or of one that has never been. */
  forget(xid: number): void {
    this.#reports.forget(xid)
  }

  /** Waits for the context's death; a dead one's report is kept for a while, for those who might read it. */
  async wait(xid: number, signal: AbortSignal, access: Access): Promise<ExitReport> {
    try {
      return exitReport(xid, await this.#driver.vx_wait(xid, signal))
    } catch (error) {
      const kept = isCode(error, 'ESRCH') && access.may('read', xid) ? this.#reports.get(xid) : undefined
      if (kept) return kept
      throw error
    }
  }

  /** Whose log this xid names: that of the context, or of a dead one whose report is kept. ESRCH. */
  logOwner(xid: number): LogOwner {
    const incarnation = whileThere(() => this.#driver.incarnation(xid)) ?? this.#reports.incarnationOf(xid)
    if (incarnation === undefined) throw new CallError('ESRCH', 'vx_info', `there is no context ${xid}`)
    return { xid, incarnation }
  }

  /** The context is there, and is the one that this log belongs to. */
  isOwnerThere({ xid, incarnation }: LogOwner): boolean {
    return whileThere(() => this.#driver.incarnation(xid)) === incarnation
  }

  /** Signal, grace, SIGKILL; gone when this resolves. */
  async destroy(xid: number, signal: number, graceMs: number, write: Write): Promise<Applied> {
    this.#driver.vx_info(xid)
    if (write.dryRun) return { xid, changed: ['destroyed'] }
    return this.#locks.run(xid, async () => {
      write.access.check('destroy', xid)
      this.#stopping.add(xid)
      const writes = writesOf(this.#driver, write)
      const cancel = new AbortController()
      const gone = this.#driver.vx_wait(xid, cancel.signal).then(() => true)
      gone.catch(() => undefined) // when a call below fails, nobody waits any more
      try {
        // Not persistent any more, the context goes with its last process, even if this daemon ends before that.
        const { flags } = this.#driver.vx_flags_get(xid)
        const ending = flags & ~PERSISTENT
        if (flags !== ending) {
          await writes.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
          noteWord(this.#driver, write, 'flags', flags, ending)
        }
        await killAll(writes, xid, signal)
        // It goes on to act on the signal. Without grace nothing of it runs again.
        if (isPaused(this.#driver, flags) && graceMs > 0) {
          await clearFlag(writes, xid, SCHED_PAUSE)
          write.events.add({ type: 'resumed', xid })
          noteWord(this.#driver, write, 'flags', ending, ending & ~SCHED_PAUSE)
        }
        if (!(await within(gone, graceMs))) await killAll(writes, xid, SIGKILL)
        await gone
      } finally {
        cancel.abort()
        this.#stopping.delete(xid)
      }
      return { xid, changed: ['destroyed'] }
    })
  }

  /** The uid that has made a context, of a dead one as long as its report is kept; null: nobody here. */
  readonly ownerOf = (xid: number, asker: number): number | null | undefined => {
    // As much work for a context that is not there as for one that somebody else has made: the time tells nothing.
    const noted = this.#driver.ownerOf(xid)
    const kept = this.#reports.ownerOf(xid)
    if (noted !== asker && kept !== asker) return undefined
    const owner = whileThere(() => this.#driver.details(xid).owner)
    return owner === undefined ? kept : owner
  }

  /** Whether a DELETE of the context is under way. */
  readonly isStopping = (xid: number): boolean => this.#stopping.has(xid)
}

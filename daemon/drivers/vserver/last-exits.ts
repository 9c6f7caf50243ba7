import type { ProcessEnd, WaitResult } from '../driver.js'

interface Run {
  /** Processes whose end would be the run's. */
  counting: Set<number>
  last: WaitResult | null
}

/** How the last run of each context ended: its init, or without one the last task. The kernel tells of the end of contexts only. */
export class LastExits {
  readonly #runs = new Map<number, Run>()

  started(xid: number, pid: number): void {
    const run = this.#runs.get(xid) ?? { counting: new Set(), last: null }
    run.counting.add(pid)
    this.#runs.set(xid, run)
  }

  ended(xid: number, { pid, status, oomKilled, isInit }: ProcessEnd): void {
    const run = this.#runs.get(xid)
    if (!run?.counting.delete(pid)) return
    // What it leaves behind belongs to its run.
    if (isInit) run.counting.clear()
    run.last = { reboot_cmd: 0, exit_code: status, oom_killed: oomKilled }
  }

  of(xid: number): WaitResult | null {
    return this.#runs.get(xid)?.last ?? null
  }

  /** The context is gone. */
  forget(xid: number): void {
    this.#runs.delete(xid)
  }
}

/** What the API means, whatever the driver: each thing that is done to a context has a file of its own. */
import type { Driver, FlagsData, Migrated } from '../drivers/driver.js'
import type { Events } from '../events/events.js'
import { emptyLogs, type GuestLogs, type LogOwner } from '../logs/logs.js'
import type { Access } from '../policy/access.js'
import type { ContextBody, ExitReport } from '../schemas/context.js'
import type { LimitsInput } from '../schemas/limits.js'
import type { ProcessRequest } from '../schemas/process.js'
import type { UnameInput } from '../schemas/uname.js'
import type { LimitName } from '../vocabulary/limits.js'
import type { UnameField } from '../vocabulary/uname.js'
import { Changes, type ChangedWordValue } from './changes.js'
import { Convergence } from './convergence.js'
import { Creation } from './creation.js'
import { Ending } from './ending.js'
import { exitReport } from './exit-reports.js'
import { Locks } from './locks.js'
import { processExit, ProcessReports, type ProcessReport } from './process-reports.js'
import { Processes } from './processes.js'
import type { WordKind } from './words.js'
import { notNew, type Applied, type Write } from './write.js'

export class Contexts {
  readonly #locks = new Locks()
  readonly #changes: Changes
  readonly #ending: Ending
  readonly #creation: Creation
  readonly #convergence: Convergence
  readonly #processes: Processes

  constructor(
    readonly driver: Driver,
    events: Events,
    readonly logs: GuestLogs = emptyLogs
  ) {
    const ending = (this.#ending = new Ending(driver, this.#locks))
    this.#changes = new Changes(driver, this.#locks)
    const processReports = new ProcessReports()
    this.#creation = new Creation(driver, this.#locks, this.#changes, ending, logs, processReports)
    this.#convergence = new Convergence(driver, this.#changes)
    this.#processes = new Processes(driver, this.#creation, processReports)
    const isThere = (xid: number) => driver.exists(xid)
    logs.died(isThere) // others may have, while no daemon ran
    for (const { xid, result, owner, at, incarnation } of driver.takePastDeaths?.() ?? [])
      if (!isThere(xid)) ending.note(exitReport(xid, result), owner, at, incarnation)
    driver.onStart = (xid, pid, init) => {
      processReports.started(xid, pid)
      events.tell({ type: 'started', xid, pid, init })
    }
    driver.onProcessEnd = (xid, end, owner) => {
      processReports.ended(xid, end)
      // The end of others is told of otherwise.
      if (!end.isInit && !end.captured) events.tell({ type: 'process_exited', ...processExit(xid, end) }, owner)
    }
    driver.onOom = (xid, kills, owner) => {
      events.tell({ type: 'oom', xid, kills }, owner)
    }
    driver.onExit = (xid, result, owner) => {
      events.tell({ type: 'exited', ...exitReport(xid, result) }, owner)
    }
    driver.onDeath = (xid, result, owner, incarnation) => {
      const report = exitReport(xid, result)
      ending.note(report, owner, Date.now(), incarnation)
      events.tell({ type: 'destroyed', ...report }, owner)
      logs.died(isThere)
    }
  }

  /**
   * Makes a context. Either all of it is there afterwards, or nothing.
   * @param watch also report how the context ends, until this aborts
   */
  create(asked: number | undefined, body: ContextBody, write: Write, watch?: AbortSignal): Promise<Applied> {
    return this.#creation.create(asked, body, write, watch)
  }

  /** Creates the context or brings it to this state; what the body leaves out stays as it is. */
  async apply(xid: number, body: ContextBody, write: Write): Promise<Applied> {
    const planned = this.#creation.plan(body, write)
    return this.#locks.run(xid, async () => {
      const exists = this.driver.exists(xid)
      const denied = write.access.deniedToApply(xid, exists)
      if (denied) throw denied
      if (exists && write.mustBeNew) throw notNew(xid)
      if (exists) return this.#convergence.converge(xid, body, write)
      return this.#creation.createLocked(xid, body, planned, write)
    })
  }

  /** Changes a word and says what it is then; makes no call when it was like this already. */
  setWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    return this.#changes.setWord(xid, kind, data, write)
  }

  /** Sets the fields that differ; returns their names. */
  setUname(xid: number, values: UnameInput, write: Write): Promise<UnameField[]> {
    return this.#changes.setUname(xid, values, write)
  }

  /** Sets the limits that differ; returns their names. */
  setLimits(xid: number, values: LimitsInput, write: Write): Promise<LimitName[]> {
    return this.#changes.setLimits(xid, values, write)
  }

  startProcess(xid: number, request: ProcessRequest, write: Write): Promise<Migrated> {
    return this.#processes.start(xid, request, write)
  }

  /** A process of the context: running (null), or how it has ended. @throws CallError ESRCH when nothing is known of it */
  process(xid: number, pid: number, access: Access): Promise<ProcessReport | null> {
    return this.#processes.get(xid, pid, access)
  }

  kill(xid: number, pid: number, signal: number, write: Write): Promise<void> {
    return this.#processes.kill(xid, pid, signal, write)
  }

  /** Waits for the context's death; a dead one's report is kept for a while, for those who might read it. */
  wait(xid: number, signal: AbortSignal, access: Access): Promise<ExitReport> {
    return this.#ending.wait(xid, signal, access)
  }

  /** Whose log this xid names: that of the context, or of a dead one whose report is kept. ESRCH. */
  logOwner(xid: number): LogOwner {
    return this.#ending.logOwner(xid)
  }

  /** The context is there, and is the one that this log belongs to. */
  isOwnerThere(owner: LogOwner): boolean {
    return this.#ending.isOwnerThere(owner)
  }

  /** Signal, grace, SIGKILL; gone when this resolves. */
  destroy(xid: number, signal: number, graceMs: number, write: Write): Promise<Applied> {
    return this.#ending.destroy(xid, signal, graceMs, write)
  }

  /** The uid that has made a context, of a dead one as long as its report is kept; null: nobody here. */
  readonly ownerOf = (xid: number, asker: number): number | null | undefined => this.#ending.ownerOf(xid, asker)

  /** Whether a DELETE of the context is under way. */
  readonly isStopping = (xid: number): boolean => this.#ending.isStopping(xid)
}

/** Processes of a context: started, and signalled. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Driver, Migrated } from '../drivers/driver.js'
import { CallError, isGone } from '../drivers/errors.js'
import type { Access } from '../policy/access.js'
import { invalid, Refusal } from '../refusal.js'
import { CAPTURE_LIMIT, type ProcessRequest } from '../schemas/process.js'
import { migrate, SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import { processSpec } from './command.js'
import type { Creation } from './creation.js'
import type { ProcessReport, ProcessReports } from './process-reports.js'
import { requireUnpaused, writesOf, type Write } from './write.js'

/** How long the end of a process may take to be told of, and between looks. */
const END_TIMEOUT_MS = 1000
const END_POLL_MS = 20

function noneWhenGone(error: unknown): [] {
  if (isGone(error)) return []
  throw error
}

export class Processes {
  readonly #driver: Driver
  readonly #creation: Creation
  readonly #reports: ProcessReports

  constructor(driver: Driver, creation: Creation, reports: ProcessReports) {
    this.#driver = driver
    this.#creation = creation
    this.#reports = reports
  }

  /**
   * A process of the context: running, or how it has ended, which is kept for a while, of a dead context too.
   * @throws CallError ESRCH when nothing is known of it
   */
  async get(xid: number, pid: number, access: Access): Promise<ProcessReport | null> {
    for (let waited = 0; ; waited += END_POLL_MS) {
      const running = await this.#driver.processes(xid).catch(noneWhenGone)
      access.check('read', xid) // another context may have the xid by now
      if (running.some((process) => process.pid === pid)) return null
      const report = this.#reports.get(xid, pid)
      if (report) return report
      // It has just ended, and its launcher is about to tell how.
      if (report === undefined || waited >= END_TIMEOUT_MS) break
      await sleep(END_POLL_MS)
    }
    throw new CallError('ESRCH', 'vx_task_xid', `context ${xid} has no process ${pid}, and none whose end is known`)
  }

  async start(xid: number, request: ProcessRequest, write: Write): Promise<Migrated> {
    const flags = migrate.parse(request.flags ?? [])
    if (flags & SET_REAPER && !(flags & SET_INIT)) throw invalid('flags', 'SET_REAPER goes with SET_INIT')
    if (flags & SET_INIT && request.capture) throw invalid('capture', 'is not for an init')
    if (flags & SET_INIT && request.timeout) throw invalid('timeout', 'is not for an init')
    if (request.stdin !== undefined && !request.capture) throw invalid('stdin', 'needs capture')
    // While it is being made it has every capability still.
    await this.#creation.settled(xid)
    write.access.check('execute', xid)
    const { initpid } = this.#driver.vx_info(xid)
    if (flags & SET_INIT && initpid !== 0)
      throw new Refusal(409, 'init-running', `context ${xid} has an init, pid ${initpid}`, xid)
    requireUnpaused(this.#driver, xid)
    // What others do meanwhile does not wait for its end.
    if (request.capture) write.events.publish()
    return writesOf(this.#driver, write).vx_migrate(xid, {
      flags,
      process: processSpec(request),
      ...(request.capture && {
        capture: { limit: CAPTURE_LIMIT, ...(request.stdin !== undefined && { stdin: request.stdin }) }
      }),
      ...(request.timeout && { timeoutMs: Math.ceil(request.timeout * 1000) })
    })
  }

  async kill(xid: number, pid: number, signal: number, write: Write): Promise<void> {
    await writesOf(this.#driver, write).vx_kill(xid, pid, signal)
  }
}

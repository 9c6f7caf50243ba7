/** Processes of a context: started, and signalled. */
import type { Driver, Migrated } from '../drivers/driver.js'
import { invalid, Refusal } from '../refusal.js'
import { CAPTURE_LIMIT, type ProcessRequest } from '../schemas/process.js'
import { migrate, SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import { processSpec } from './command.js'
import type { Creation } from './creation.js'
import { requireUnpaused, writesOf, type Write } from './write.js'

export class Processes {
  readonly #driver: Driver
  readonly #creation: Creation

  constructor(driver: Driver, creation: Creation) {
    this.#driver = driver
    this.#creation = creation
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

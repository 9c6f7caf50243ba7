/** Brings a context to the state that a PUT gives; what the body leaves out stays as it is. */
import type { Driver } from '../drivers/driver.js'
import { Refusal } from '../refusal.js'
import type { ContextBody } from '../schemas/context.js'
import { PERSISTENT, SCHED_PAUSE } from '../vocabulary/flags.js'
import type { Changes } from './changes.js'
import { startInit } from './command.js'
import { isPaused, replaceableBits, tableOf, wordFromInput, wordKinds } from './words.js'
import { clearFlag, noteWord, requireUnpaused, writesOf, type Applied, type Write } from './write.js'

export class Convergence {
  readonly #driver: Driver
  readonly #changes: Changes

  constructor(driver: Driver, changes: Changes) {
    this.#driver = driver
    this.#changes = changes
  }

  /** By who holds the lock of the context. */
  async converge(xid: number, body: ContextBody, write: Write): Promise<Applied> {
    if (body.init && this.#driver.vx_info(xid).initpid === 0) write.access.check('execute', xid)
    const { root } = this.#driver.details(xid)
    if (body.root !== undefined && body.root !== root)
      throw new Refusal(
        409,
        'root-differs',
        `the root of context ${xid} is ${root ?? "the host's"} and cannot be changed`,
        xid
      )
    const changed: string[] = []
    for (const kind of wordKinds) {
      const input = body[kind]
      if (input === undefined) continue
      const data = { flags: wordFromInput(tableOf(this.#driver, kind), input), mask: replaceableBits(kind) }
      if (kind === 'flags' && !(data.flags & PERSISTENT) && this.#hasNobody(xid) && !body.init)
        throw new Refusal(
          422,
          'not-persistent',
          `context ${xid} has no process and would end at once without PERSISTENT`,
          xid
        )
      if (
        (
          await this.#changes.changeWord(xid, kind, data, {
            ...write,
            dryRun: write.dryRun === true || kind === 'flags'
          })
        ).changed
      )
        changed.push(kind)
    }
    for (const field of await this.#changes.setUname(xid, this.#changes.unameOf(body, write), write))
      changed.push(`uname.${field}`)
    if (body.limits)
      for (const name of await this.#changes.changeLimits(xid, body.limits, write)) changed.push(`limits.${name}`)
    if (body.init && this.#driver.vx_info(xid).initpid === 0) {
      changed.push('init')
      const isToGoOn =
        body.flags !== undefined && !(wordFromInput(tableOf(this.#driver, 'flags'), body.flags) & SCHED_PAUSE)
      if (isToGoOn && !write.dryRun) await this.#goOn(xid, write)
      if (!isToGoOn) requireUnpaused(this.#driver, xid)
      if (!write.dryRun) await startInit(xid, body.init, writesOf(this.#driver, write))
    }
    // Flags last: without PERSISTENT the context needs the init that was started just now.
    if (changed.includes('flags') && body.flags !== undefined)
      await this.#changes.changeWord(
        xid,
        'flags',
        { flags: wordFromInput(tableOf(this.#driver, 'flags'), body.flags), mask: replaceableBits('flags') },
        write
      )
    return { xid, changed }
  }

  async #goOn(xid: number, write: Write): Promise<void> {
    const { flags } = this.#driver.vx_flags_get(xid)
    if (!isPaused(this.#driver, flags)) return
    await clearFlag(writesOf(this.#driver, write), xid, SCHED_PAUSE)
    noteWord(this.#driver, write, 'flags', flags, flags & ~SCHED_PAUSE)
    write.events.add({ type: 'resumed', xid })
  }

  #hasNobody(xid: number): boolean {
    return !this.#driver.details(xid).populated
  }
}

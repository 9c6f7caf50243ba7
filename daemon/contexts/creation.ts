/** Makes contexts: whole, or not at all. */
import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import { XID_MAX } from '../drivers/rules.js'
import type { GuestLogs } from '../logs/logs.js'
import { alreadyThere, type Access } from '../policy/access.js'
import { invalid, Refusal } from '../refusal.js'
import type { ContextBody, ExitReport } from '../schemas/context.js'
import type { UnameInput } from '../schemas/uname.js'
import { safeBcaps } from '../vocabulary/bcaps.js'
import {
  INFO_INIT,
  PERSISTENT,
  SCHED_PAUSE,
  STATE_ADMIN,
  STATE_BITS,
  STATE_INIT,
  STATE_SETUP
} from '../vocabulary/flags.js'
import { SIGKILL } from '../vocabulary/signals.js'
import { unameFields } from '../vocabulary/uname.js'
import { WORD_MAX } from '../vocabulary/word.js'
import type { Writes } from './audited.js'
import type { Changes } from './changes.js'
import { startInit } from './command.js'
import type { Ending } from './ending.js'
import { isDistributionInit } from './inits.js'
import type { Locks } from './locks.js'
import type { ProcessReports } from './process-reports.js'
import { contextView } from './view.js'
import { checkSupported, isPaused, tableOf, wordFromInput, wordKinds } from './words.js'
import { clearFlag, isCode, killAll, noteWord, within, writesOf, type Applied, type Write } from './write.js'

/** Contexts without an xid of their own get one from here on, as dynamic ids did on early kernels. */
const FIRST_FREE_XID = 49152

/** For how long a watched context may be over before its start is told of, and then before its creation is done. */
const SETTLE_DELAY_MS = 10

/** A checked body: the words and names a new context gets. */
export interface Plan {
  flags: bigint
  bcaps: bigint
  ccaps: bigint
  uname: UnameInput
  warnings: string[]
}

export class Creation {
  readonly #driver: Driver
  readonly #locks: Locks
  readonly #changes: Changes
  readonly #ending: Ending
  readonly #logs: GuestLogs
  readonly #processes: ProcessReports
  /** Contexts that are being made; none rejects. */
  readonly #making = new Map<number, Promise<unknown>>()

  constructor(
    driver: Driver,
    locks: Locks,
    changes: Changes,
    ending: Ending,
    logs: GuestLogs,
    processes: ProcessReports
  ) {
    this.#driver = driver
    this.#locks = locks
    this.#changes = changes
    this.#ending = ending
    this.#logs = logs
    this.#processes = processes
  }

  /**
   * Makes a context. Either all of it is there afterwards, or nothing.
   * @param watch also report how the context ends, until this aborts
   */
  async create(asked: number | undefined, body: ContextBody, write: Write, watch?: AbortSignal): Promise<Applied> {
    const plan = this.plan(body, write)
    if (watch && (plan.flags & PERSISTENT || !body.init))
      throw new Refusal(
        422,
        'persistent',
        'wait is for a context that ends with its init: give init, and not PERSISTENT'
      )
    if (asked !== undefined) {
      write.access.checkCreate(asked)
      if (this.#driver.exists(asked)) throw alreadyThere(asked)
      return this.#locks.run(asked, () => this.createLocked(asked, body, plan, write, watch))
    }
    const ranges = write.access.creatable([FIRST_FREE_XID, XID_MAX])
    for (const [from, to] of ranges)
      for (let xid = from; xid <= to; xid++) {
        if (this.#driver.exists(xid)) continue
        try {
          return await this.#locks.run(xid, () => this.createLocked(xid, body, plan, write, watch))
        } catch (error) {
          // Somebody else took it meanwhile; but an EEXIST from further on is an error like any other.
          if (!isCode(error, 'EEXIST') || !['vx_create', 'ctx_create', 'mkdir'].includes((error as CallError).call))
            throw error
        }
      }
    const text = ranges.map((range) => range.join('..')).join(', ')
    throw new CallError('ENOSPC', 'vx_create', `no free xid in ${text}`)
  }

  /** Resolves when a context that is being made is whole, or not there: till then it has every capability. */
  async settled(xid: number): Promise<void> {
    await this.#making.get(xid)
  }

  /** Checks a body whole before the first call is made. */
  plan(body: ContextBody, write: Write): Plan {
    const words = { flags: PERSISTENT, bcaps: safeBcaps(tableOf(this.#driver, 'bcaps')), ccaps: 0n }
    const needsInit =
      body.init !== undefined &&
      isDistributionInit(body.init.argv) &&
      this.#driver.treatment('flags', 'INFO_INIT') === 'enforced'
    if (body.init) words.flags = needsInit ? INFO_INIT : 0n
    for (const kind of wordKinds) {
      const input = body[kind]
      if (input === undefined) continue
      words[kind] = wordFromInput(tableOf(this.#driver, kind), input)
      checkSupported(this.#driver, kind, words[kind], write.record ?? false)
    }
    if (words.flags & STATE_BITS) throw invalid('flags', 'has STATE_* bits, which are set and cleared by the daemon')
    if (body.limits) this.#changes.checkLimits(body.limits, write)
    const warnings =
      needsInit && !(words.flags & INFO_INIT)
        ? [`${body.init?.argv[0] ?? ''} wants to be PID 1, which it is not without INFO_INIT among flags`]
        : []
    return { ...words, uname: this.#changes.unameOf(body, write), warnings }
  }

  /** By who holds the lock of the context. */
  async createLocked(xid: number, body: ContextBody, plan: Plan, write: Write, watch?: AbortSignal): Promise<Applied> {
    const making = this.#make(xid, body, plan, write, watch)
    this.#making.set(
      xid,
      making.catch(() => undefined)
    )
    try {
      return await making
    } finally {
      this.#making.delete(xid)
    }
  }

  /** As on a Linux-VServer kernel: persistent while it is being set up, names and caps from outside, then its init. */
  async #make(xid: number, body: ContextBody, plan: Plan, write: Write, watch?: AbortSignal): Promise<Applied> {
    if (!body.init && !(plan.flags & PERSISTENT))
      throw new Refusal(
        422,
        'not-persistent',
        'a context without init must be PERSISTENT, or it would end at once',
        xid
      )
    const applied: Applied = { xid, changed: ['created'], warnings: plan.warnings }
    if (write.dryRun) return applied
    const writes = writesOf(this.#driver, write)
    // An init is started before the context is paused: a stopped one could not be.
    const pause = body.init && isPaused(this.#driver, plan.flags) ? SCHED_PAUSE : 0n
    const initial = (plan.flags & ~pause) | PERSISTENT | STATE_SETUP | STATE_INIT | STATE_ADMIN
    const owner = write.access.uid
    await writes.vx_create(xid, { flags: initial, owner, ...(body.root !== undefined && { root: body.root }) })
    noteWord(this.#driver, write, 'flags', null, plan.flags)
    this.#ending.forget(xid) // that was another context
    this.#processes.forget(xid)
    write.events.add({ type: 'created', xid, name: plan.uname.context ?? null })
    try {
      this.#logs.forget(xid)
      await writes.vx_bcaps_set(xid, { flags: plan.bcaps, mask: WORD_MAX })
      noteWord(this.#driver, write, 'bcaps', null, plan.bcaps)
      if (plan.ccaps) {
        await writes.vx_ccaps_set(xid, { flags: plan.ccaps, mask: WORD_MAX })
        noteWord(this.#driver, write, 'ccaps', null, plan.ccaps)
      }
      for (const { name } of unameFields) {
        const value = plan.uname[name]
        if (value === undefined) continue
        await writes.vx_uname_set(xid, name, value)
        write.changes.push({ what: `uname.${name}`, before: null, after: value })
      }
      if (body.limits) await this.#changes.changeLimits(xid, body.limits, write, true)
      if (body.init) await startInit(xid, body.init, writes, watch && !pause ? SETTLE_DELAY_MS : undefined)
      if (pause) {
        await writes.vx_flags_set(xid, { flags: pause, mask: pause })
        write.events.add({ type: 'paused', xid })
      }
      // While PERSISTENT is set the context cannot be gone yet, however short its init lived.
      if (watch) applied.ended = this.#watched(xid, watch, write.access)
      else applied.view = contextView(this.#driver, xid, plan.flags & PERSISTENT ? {} : { without: PERSISTENT })
      if (!(plan.flags & PERSISTENT)) await clearFlag(writes, xid, PERSISTENT)
      // One that is over at once need not be written, and who waits for it need not wait for that.
      if (applied.ended) await within(applied.ended, SETTLE_DELAY_MS).catch(() => undefined)
      if (this.#driver.exists(xid)) this.#driver.settle(xid)
      // Its end is worth knowing before it is reported.
      if (watch) write.events.publish()
    } catch (error) {
      if (this.#driver.exists(xid)) await this.#undoCreation(xid, writes)
      write.events.forget()
      throw error
    }
    return applied
  }

  /** The caller may never come to wait for it, when a later step fails. */
  #watched(xid: number, watch: AbortSignal, access: Access): Promise<ExitReport> {
    const ended = this.#ending.wait(xid, watch, access)
    ended.catch(() => undefined)
    return ended
  }

  async #undoCreation(xid: number, writes: Writes): Promise<void> {
    const gone = this.#driver.vx_wait(xid, new AbortController().signal).catch(() => undefined) // it is removed all the same
    await clearFlag(writes, xid, PERSISTENT)
    await killAll(writes, xid, SIGKILL)
    await gone
    this.#ending.forget(xid) // it has never been
  }
}

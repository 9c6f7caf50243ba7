/** What the API means, whatever the driver: creation, convergence, processes, waiting, destruction. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Driver, FlagsData, Migrated } from '../drivers/driver.js'
import { CallError, isGone, whileThere } from '../drivers/errors.js'
import { XID_MAX } from '../drivers/rules.js'
import { emptyLogs, type GuestLogs, type LogOwner } from '../logs/logs.js'
import type { Announcements, Events } from '../events/events.js'
import type { Context, ContextBody, ExitReport } from '../schemas/context.js'
import { CAPTURE_LIMIT, type Command, type ProcessRequest } from '../schemas/process.js'
import type { LimitsInput } from '../schemas/limits.js'
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
import { limitNames, type LimitName } from '../vocabulary/limits.js'
import { migrate, SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import { SIGKILL } from '../vocabulary/signals.js'
import { checkUnameValue, unameFields, type UnameField } from '../vocabulary/uname.js'
import { WORD_MAX } from '../vocabulary/word.js'
import { alreadyThere, type Access } from '../policy/access.js'
import { audited, type Change, type NativeCall, type Writes } from './audited.js'
import { processSpec } from './command.js'
import { ExitReports, exitReport } from './exit-reports.js'
import { isDistributionInit } from './inits.js'
import { processExit, ProcessReports, type ProcessReport } from './process-reports.js'
import { Locks } from './locks.js'
import { invalid, Refusal } from './refusal.js'
import { contextView, readWord, unameField } from './view.js'
import {
  canPause,
  checkChangeable,
  checkIrreversible,
  checkSupported,
  flagWarnings,
  isPaused,
  replaceableBits,
  tableOf,
  unsupported,
  wordFromInput,
  wordKinds,
  type WordKind
} from './words.js'

/** Contexts without an xid of their own get one from here on, as dynamic ids did on early kernels. */
const FIRST_FREE_XID = 49152

/** For how long a watched context may be over before its start is told of, and then before its creation is done. */
const SETTLE_DELAY_MS = 10

/** How long the end of a process may take to be told of, and between looks. */
const PROCESS_END_TIMEOUT_MS = 1000
const PROCESS_END_POLL_MS = 20

function noneWhenGone(error: unknown): [] {
  if (isGone(error)) return []
  throw error
}

/** How a write is asked to be done, and what it has done so far. */
export interface Write {
  calls: NativeCall[]
  changes: Change[]
  /** What the caller may do: asked again after everything that was waited for, when the context may be another one. */
  access: Access
  events: Announcements
  dryRun?: boolean | undefined
  /** Keep unsupported names instead of refusing them. */
  record?: boolean | undefined
  irreversible?: boolean | undefined
}

export interface Applied {
  xid: number
  changed: string[]
  /** What the caller of a creation may not have meant. */
  warnings?: string[]
  /** Of a creation that is not watched: the context as it was then, for it may be gone already. */
  view?: Context
  /** Of a creation that is watched: how the context ends. */
  ended?: Promise<ExitReport>
}

/** A checked body: the words and names a new context gets. */
interface Plan {
  flags: bigint
  bcaps: bigint
  ccaps: bigint
  uname: UnameInput
  warnings: string[]
}

export interface ChangedWordValue {
  changed: boolean
  word: bigint
  /** The bits that may still be changed. */
  mask: bigint
  /** What the caller may not have meant. */
  warnings: string[]
}

const isCode = (error: unknown, code: string) => error instanceof CallError && error.code === code

export class Contexts {
  readonly #locks = new Locks()
  readonly #reports = new ExitReports()
  readonly #processes = new ProcessReports()
  /** Contexts that are being made; none rejects. */
  readonly #making = new Map<number, Promise<unknown>>()
  readonly #stopping = new Set<number>()

  constructor(
    readonly driver: Driver,
    events: Events,
    readonly logs: GuestLogs = emptyLogs
  ) {
    const isThere = (xid: number) => driver.exists(xid)
    logs.died(isThere) // others may have, while no daemon ran
    for (const { xid, result, owner, at, incarnation } of driver.takePastDeaths?.() ?? [])
      if (!isThere(xid)) this.#reports.add(exitReport(xid, result), owner, at, incarnation)
    driver.onStart = (xid, pid, init) => {
      this.#processes.started(xid, pid)
      events.tell({ type: 'started', xid, pid, init })
    }
    driver.onProcessEnd = (xid, end, owner) => {
      this.#processes.ended(xid, end)
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
      this.#reports.add(report, owner, Date.now(), incarnation)
      events.tell({ type: 'destroyed', ...report }, owner)
      logs.died(isThere)
    }
  }

  /**
   * Makes a context. Either all of it is there afterwards, or nothing.
   * @param watch also report how the context ends, until this aborts
   */
  async create(asked: number | undefined, body: ContextBody, write: Write, watch?: AbortSignal): Promise<Applied> {
    const plan = this.#planCreation(body, write)
    if (watch && (plan.flags & PERSISTENT || !body.init))
      throw new Refusal(
        422,
        'persistent',
        'wait is for a context that ends with its init: give init, and not PERSISTENT'
      )
    if (asked !== undefined) {
      write.access.checkCreate(asked)
      if (this.driver.exists(asked)) throw alreadyThere(asked)
      return this.#locks.run(asked, () => this.#create(asked, body, plan, write, watch))
    }
    const ranges = write.access.creatable([FIRST_FREE_XID, XID_MAX])
    for (const [from, to] of ranges)
      for (let xid = from; xid <= to; xid++) {
        if (this.driver.exists(xid)) continue
        try {
          return await this.#locks.run(xid, () => this.#create(xid, body, plan, write, watch))
        } catch (error) {
          // Somebody else took it meanwhile; but an EEXIST from further on is an error like any other.
          if (!isCode(error, 'EEXIST') || !['vx_create', 'ctx_create', 'mkdir'].includes((error as CallError).call))
            throw error
        }
      }
    const text = ranges.map((range) => range.join('..')).join(', ')
    throw new CallError('ENOSPC', 'vx_create', `no free xid in ${text}`)
  }

  /** Creates the context or brings it to this state; what the body leaves out stays as it is. */
  async apply(xid: number, body: ContextBody, write: Write): Promise<Applied> {
    const planned = this.#planCreation(body, write)
    return this.#locks.run(xid, async () => {
      const exists = this.driver.exists(xid)
      const denied = write.access.deniedToApply(xid, exists)
      if (denied) throw denied
      if (exists) return this.#converge(xid, body, write)
      return this.#create(xid, body, planned, write)
    })
  }

  /** Changes a word and says what it is then; makes no call when it was like this already. */
  async setWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    // Flags decide about life and death: one change at a time.
    return kind === 'flags'
      ? this.#locks.run(xid, () => {
          write.access.check('configure', xid)
          return this.#setWord(xid, kind, data, write)
        })
      : this.#setWord(xid, kind, data, write)
  }

  async #setWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    const before = readWord(this.driver, xid, kind)
    const wanted = (before & ~data.mask) | (data.flags & data.mask)
    // STATE_* bits that are cleared stay cleared: the kernel ignores the wish to set them, and so does the forecast.
    const after = kind === 'flags' ? wanted & (~STATE_BITS | before) : wanted
    checkSupported(this.driver, kind, after & ~before, write.record ?? false)
    checkChangeable(this.driver, kind, after ^ before, write.record ?? false)
    if (kind === 'flags') checkIrreversible(before, after, write.irreversible ?? false)
    const changed = after !== before
    const mask = kind === 'flags' ? this.driver.vx_flags_get(xid).mask & (~STATE_BITS | after) : WORD_MAX
    if (changed && !write.dryRun) {
      await this.#writes(write)[`vx_${kind}_set`](xid, data)
      this.#noteWord(write, kind, before, after)
      write.events.add({ type: 'changed', xid, what: kind, value: tableOf(this.driver, kind).view(after) })
      if (kind === 'flags' && canPause(this.driver) && (before ^ after) & SCHED_PAUSE)
        write.events.add({ type: after & SCHED_PAUSE ? 'paused' : 'resumed', xid })
    }
    const warnings = kind === 'flags' && changed ? flagWarnings(before, after) : []
    return { changed, word: after, mask, warnings }
  }

  /** Sets the fields that differ; returns their names. */
  async setUname(xid: number, values: UnameInput, write: Write): Promise<UnameField[]> {
    this.#checkUname(values, write)
    const changed = unameFields.flatMap(({ name: field }) => {
      const after = values[field]
      const before = after === undefined ? null : unameField(this.driver, xid, field)
      return after === undefined || after === before ? [] : [{ field, before, after }]
    })
    const writes = this.#writes(write)
    for (const { field, before, after } of write.dryRun ? [] : changed) {
      await writes.vx_uname_set(xid, field, after)
      write.events.add({ type: 'changed', xid, what: `uname.${field}`, value: after })
      write.changes.push({ what: `uname.${field}`, before, after })
    }
    return changed.map(({ field }) => field)
  }

  /** Sets the limits that differ; returns their names. */
  async setLimits(xid: number, values: LimitsInput, write: Write): Promise<LimitName[]> {
    // A flag decides whether they act: one change at a time.
    return this.#locks.run(xid, () => {
      write.access.check('configure', xid)
      return this.#setLimits(xid, values, write)
    })
  }

  async #setLimits(xid: number, values: LimitsInput, write: Write): Promise<LimitName[]> {
    this.#checkLimits(values, write)
    const before = this.driver.limits_get(xid)
    const changed = limitNames.filter((name) => values[name] !== undefined && values[name] !== before[name])
    if (changed.length === 0 || write.dryRun) return changed
    await this.#writes(write).limits_set(xid, Object.fromEntries(changed.map((name) => [name, values[name]])))
    for (const name of changed) {
      const what = `limits.${name}` as const
      const after = values[name] ?? null
      write.changes.push({ what, before: before[name], after })
      if (!this.#making.has(xid)) write.events.add({ type: 'changed', xid, what, value: after })
    }
    return changed
  }

  async startProcess(xid: number, request: ProcessRequest, write: Write): Promise<Migrated> {
    const flags = migrate.parse(request.flags ?? [])
    if (flags & SET_REAPER && !(flags & SET_INIT)) throw invalid('flags', 'SET_REAPER goes with SET_INIT')
    if (flags & SET_INIT && request.capture) throw invalid('capture', 'is not for an init')
    if (flags & SET_INIT && request.timeout) throw invalid('timeout', 'is not for an init')
    if (request.stdin !== undefined && !request.capture) throw invalid('stdin', 'needs capture')
    // While it is being made it has every capability still.
    await this.#making.get(xid)
    write.access.check('execute', xid)
    const { initpid } = this.driver.vx_info(xid)
    if (flags & SET_INIT && initpid !== 0)
      throw new Refusal(409, 'init-running', `context ${xid} has an init, pid ${initpid}`, xid)
    this.#requireUnpaused(xid)
    // What others do meanwhile does not wait for its end.
    if (request.capture) write.events.publish()
    return this.#writes(write).vx_migrate(xid, {
      flags,
      process: processSpec(request),
      ...(request.capture && {
        capture: { limit: CAPTURE_LIMIT, ...(request.stdin !== undefined && { stdin: request.stdin }) }
      }),
      ...(request.timeout && { timeoutMs: Math.ceil(request.timeout * 1000) })
    })
  }

  /**
   * A process of the context: running, or how it has ended, which is kept for a while, of a dead context too.
   * @throws CallError ESRCH when nothing is known of it
   */
  async process(xid: number, pid: number, access: Access): Promise<ProcessReport | null> {
    for (let waited = 0; ; waited += PROCESS_END_POLL_MS) {
      const running = await this.driver.processes(xid).catch(noneWhenGone)
      access.check('read', xid) // another context may have the xid by now
      if (running.some((process) => process.pid === pid)) return null
      const report = this.#processes.get(xid, pid)
      if (report) return report
      // It has just ended, and its launcher is about to tell how.
      if (report === undefined || waited >= PROCESS_END_TIMEOUT_MS) break
      await sleep(PROCESS_END_POLL_MS)
    }
    throw new CallError('ESRCH', 'vx_task_xid', `context ${xid} has no process ${pid}, and none whose end is known`)
  }

  async kill(xid: number, pid: number, signal: number, write: Write): Promise<void> {
    await this.#writes(write).vx_kill(xid, pid, signal)
  }

  /** Waits for the context's death; a dead one's report is kept for a while, for those who might read it. */
  async wait(xid: number, signal: AbortSignal, access: Access): Promise<ExitReport> {
    try {
      return exitReport(xid, await this.driver.vx_wait(xid, signal))
    } catch (error) {
      const kept = isCode(error, 'ESRCH') && access.may('read', xid) ? this.#reports.get(xid) : undefined
      if (kept) return kept
      throw error
    }
  }

  /** Whose log this xid names: that of the context, or of a dead one whose report is kept. ESRCH. */
  logOwner(xid: number): LogOwner {
    const incarnation = whileThere(() => this.driver.incarnation(xid)) ?? this.#reports.incarnationOf(xid)
    if (incarnation === undefined) throw new CallError('ESRCH', 'vx_info', `there is no context ${xid}`)
    return { xid, incarnation }
  }

  /** The context is there, and is the one that this log belongs to. */
  isOwnerThere({ xid, incarnation }: LogOwner): boolean {
    return whileThere(() => this.driver.incarnation(xid)) === incarnation
  }

  /** Signal, grace, SIGKILL; gone when this resolves. */
  async destroy(xid: number, signal: number, graceMs: number, write: Write): Promise<Applied> {
    this.driver.vx_info(xid)
    if (write.dryRun) return { xid, changed: ['destroyed'] }
    return this.#locks.run(xid, async () => {
      write.access.check('destroy', xid)
      this.#stopping.add(xid)
      const writes = this.#writes(write)
      const cancel = new AbortController()
      const gone = this.driver.vx_wait(xid, cancel.signal).then(() => true)
      gone.catch(() => undefined) // when a call below fails, nobody waits any more
      try {
        // Not persistent any more, the context goes with its last process, even if this daemon ends before that.
        const { flags } = this.driver.vx_flags_get(xid)
        const ending = flags & ~PERSISTENT
        if (flags !== ending) {
          await writes.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
          this.#noteWord(write, 'flags', flags, ending)
        }
        await this.#killAll(writes, xid, signal)
        // It goes on to act on the signal. Without grace nothing of it runs again.
        if (isPaused(this.driver, flags) && graceMs > 0) {
          await this.#clear(xid, SCHED_PAUSE, writes)
          write.events.add({ type: 'resumed', xid })
          this.#noteWord(write, 'flags', ending, ending & ~SCHED_PAUSE)
        }
        if (!(await within(gone, graceMs))) await this.#killAll(writes, xid, SIGKILL)
        await gone
      } finally {
        cancel.abort()
        this.#stopping.delete(xid)
      }
      return { xid, changed: ['destroyed'] }
    })
  }

  /** The uid that has made a context, of a dead one as long as its report is kept; null: nobody here. */
  readonly ownerOf = (xid: number): number | null | undefined => {
    const owner = whileThere(() => this.driver.details(xid).owner)
    return owner === undefined ? this.#reports.ownerOf(xid) : owner
  }

  /** Whether a DELETE of the context is under way. */
  readonly isStopping = (xid: number): boolean => this.#stopping.has(xid)

  #requireUnpaused(xid: number): void {
    if (canPause(this.driver) && isPaused(this.driver, this.driver.vx_flags_get(xid).flags))
      throw new Refusal(
        409,
        'paused',
        `context ${xid} is paused, so nothing can be started in it; clear SCHED_PAUSE first`,
        xid
      )
  }

  /** @param before null of a context that is being made; its STATE_* bits are not the caller's */
  #noteWord(write: Write, kind: WordKind, before: bigint | null, after: bigint): void {
    const table = tableOf(this.driver, kind)
    write.changes.push({ what: kind, before: before === null ? null : table.view(before), after: table.view(after) })
  }

  #writes(write: Write): Writes {
    return audited(this.driver, write.calls, write.events)
  }

  async #killAll(writes: Writes, xid: number, signal: number): Promise<void> {
    try {
      await writes.vx_kill(xid, 0, signal)
    } catch (error) {
      if (!isCode(error, 'ESRCH')) throw error // nobody left to kill
    }
  }

  /** Checks a body whole before the first call is made. */
  #planCreation(body: ContextBody, write: Write): Plan {
    const words = { flags: PERSISTENT, bcaps: safeBcaps(tableOf(this.driver, 'bcaps')), ccaps: 0n }
    const needsInit =
      body.init !== undefined &&
      isDistributionInit(body.init.argv) &&
      this.driver.treatment('flags', 'INFO_INIT') === 'enforced'
    if (body.init) words.flags = needsInit ? INFO_INIT : 0n
    for (const kind of wordKinds) {
      const input = body[kind]
      if (input === undefined) continue
      words[kind] = wordFromInput(tableOf(this.driver, kind), input)
      checkSupported(this.driver, kind, words[kind], write.record ?? false)
    }
    if (words.flags & STATE_BITS) throw invalid('flags', 'has STATE_* bits, which are set and cleared by the daemon')
    if (body.limits) this.#checkLimits(body.limits, write)
    const warnings =
      needsInit && !(words.flags & INFO_INIT)
        ? [`${body.init?.argv[0] ?? ''} wants to be PID 1, which it is not without INFO_INIT among flags`]
        : []
    return { ...words, uname: this.#unameOf(body, write), warnings }
  }

  #unameOf(body: ContextBody, write: Write): UnameInput {
    const { name, uname } = body
    if (name !== undefined && uname?.context !== undefined && name !== uname.context)
      throw invalid('name', 'and uname.context are the same thing, but differ')
    const values = name === undefined ? { ...uname } : { ...uname, context: name }
    this.#checkUname(values, write)
    return values
  }

  #checkUname(values: UnameInput, write: Write): void {
    for (const { name } of unameFields) {
      const value = values[name]
      if (value === undefined) continue
      const reason = checkUnameValue(value)
      if (reason) throw invalid(name === 'context' ? 'name (uname.context)' : `uname.${name}`, reason)
      if (!write.record && this.driver.treatment('uname', name) === 'unsupported')
        throw new Refusal(
          422,
          'unsupported',
          `uname.${name}: the ${this.driver.name} driver cannot set it; ?unsupported=record keeps it without effect`
        )
    }
  }

  #checkLimits(values: LimitsInput, write: Write): void {
    if (write.record) return
    const refused = limitNames.filter(
      (name) => (values[name] ?? null) !== null && this.driver.treatment('limits', name) === 'unsupported'
    )
    if (refused.length > 0) throw unsupported(this.driver, 'limits', refused)
  }

  async #create(xid: number, body: ContextBody, plan: Plan, write: Write, watch?: AbortSignal): Promise<Applied> {
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
    const writes = this.#writes(write)
    // An init is started before the context is paused: a stopped one could not be.
    const pause = body.init && isPaused(this.driver, plan.flags) ? SCHED_PAUSE : 0n
    const initial = (plan.flags & ~pause) | PERSISTENT | STATE_SETUP | STATE_INIT | STATE_ADMIN
    const owner = write.access.uid
    await writes.vx_create(xid, { flags: initial, owner, ...(body.root !== undefined && { root: body.root }) })
    this.#noteWord(write, 'flags', null, plan.flags)
    this.#reports.forget(xid) // that was another context
    this.#processes.forget(xid)
    write.events.add({ type: 'created', xid, name: plan.uname.context ?? null })
    try {
      this.logs.forget(xid)
      await writes.vx_bcaps_set(xid, { flags: plan.bcaps, mask: WORD_MAX })
      this.#noteWord(write, 'bcaps', null, plan.bcaps)
      if (plan.ccaps) {
        await writes.vx_ccaps_set(xid, { flags: plan.ccaps, mask: WORD_MAX })
        this.#noteWord(write, 'ccaps', null, plan.ccaps)
      }
      for (const { name } of unameFields) {
        const value = plan.uname[name]
        if (value === undefined) continue
        await writes.vx_uname_set(xid, name, value)
        write.changes.push({ what: `uname.${name}`, before: null, after: value })
      }
      if (body.limits) await this.#setLimits(xid, body.limits, write)
      if (body.init) await this.#startInit(xid, body.init, writes, watch && !pause ? SETTLE_DELAY_MS : undefined)
      if (pause) {
        await writes.vx_flags_set(xid, { flags: pause, mask: pause })
        write.events.add({ type: 'paused', xid })
      }
      // While PERSISTENT is set the context cannot be gone yet, however short its init lived.
      if (watch) applied.ended = this.#watched(xid, watch, write.access)
      else applied.view = contextView(this.driver, xid, plan.flags & PERSISTENT ? {} : { without: PERSISTENT })
      if (!(plan.flags & PERSISTENT)) await this.#clear(xid, PERSISTENT, writes)
      // One that is over at once need not be written, and who waits for it need not wait for that.
      if (applied.ended) await within(applied.ended, SETTLE_DELAY_MS).catch(() => undefined)
      if (this.driver.exists(xid)) this.driver.settle(xid)
      // Its end is worth knowing before it is reported.
      if (watch) write.events.publish()
    } catch (error) {
      if (this.driver.exists(xid)) await this.#undoCreation(xid, writes)
      write.events.forget()
      throw error
    }
    return applied
  }

  /** The caller may never come to wait for it, when a later step fails. */
  #watched(xid: number, watch: AbortSignal, access: Access): Promise<ExitReport> {
    const ended = this.wait(xid, watch, access)
    ended.catch(() => undefined)
    return ended
  }

  async #startInit(xid: number, init: Command, writes: Writes, startDelayMs?: number): Promise<void> {
    await writes.vx_migrate(xid, { flags: SET_INIT | SET_REAPER, process: processSpec(init), startDelayMs })
  }

  async #undoCreation(xid: number, writes: Writes): Promise<void> {
    const gone = this.driver.vx_wait(xid, new AbortController().signal).catch(() => undefined) // it is removed all the same
    await this.#clear(xid, PERSISTENT, writes)
    await this.#killAll(writes, xid, SIGKILL)
    await gone
    this.#reports.forget(xid) // it has never been
  }

  /** A short-lived init may be over, and its context gone, before this is done. */
  async #clear(xid: number, flag: bigint, writes: Writes): Promise<void> {
    try {
      await writes.vx_flags_set(xid, { flags: 0n, mask: flag })
    } catch (error) {
      if (!isCode(error, 'ESRCH')) throw error
    }
  }

  async #goOn(xid: number, write: Write): Promise<void> {
    const { flags } = this.driver.vx_flags_get(xid)
    if (!isPaused(this.driver, flags)) return
    await this.#clear(xid, SCHED_PAUSE, this.#writes(write))
    this.#noteWord(write, 'flags', flags, flags & ~SCHED_PAUSE)
    write.events.add({ type: 'resumed', xid })
  }

  async #converge(xid: number, body: ContextBody, write: Write): Promise<Applied> {
    if (body.init && this.driver.vx_info(xid).initpid === 0) write.access.check('execute', xid)
    const { root } = this.driver.details(xid)
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
      const data = { flags: wordFromInput(tableOf(this.driver, kind), input), mask: replaceableBits(kind) }
      if (kind === 'flags' && !(data.flags & PERSISTENT) && this.#hasNobody(xid) && !body.init)
        throw new Refusal(
          422,
          'not-persistent',
          `context ${xid} has no process and would end at once without PERSISTENT`,
          xid
        )
      if (
        (await this.#setWord(xid, kind, data, { ...write, dryRun: write.dryRun === true || kind === 'flags' })).changed
      )
        changed.push(kind)
    }
    for (const field of await this.setUname(xid, this.#unameOf(body, write), write)) changed.push(`uname.${field}`)
    if (body.limits) for (const name of await this.#setLimits(xid, body.limits, write)) changed.push(`limits.${name}`)
    if (body.init && this.driver.vx_info(xid).initpid === 0) {
      changed.push('init')
      const isToGoOn =
        body.flags !== undefined && !(wordFromInput(tableOf(this.driver, 'flags'), body.flags) & SCHED_PAUSE)
      if (isToGoOn && !write.dryRun) await this.#goOn(xid, write)
      if (!isToGoOn) this.#requireUnpaused(xid)
      if (!write.dryRun) await this.#startInit(xid, body.init, this.#writes(write))
    }
    // Flags last: without PERSISTENT the context needs the init that was started just now.
    if (changed.includes('flags') && body.flags !== undefined)
      await this.#setWord(
        xid,
        'flags',
        { flags: wordFromInput(tableOf(this.driver, 'flags'), body.flags), mask: replaceableBits('flags') },
        write
      )
    return { xid, changed }
  }

  #hasNobody(xid: number): boolean {
    return !this.driver.details(xid).populated
  }
}

/** True when the promise settles within so many milliseconds. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false)
    }, ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** What the API means, whatever the driver: creation, convergence, processes, waiting, destruction. */
import type { Driver, FlagsData, Migrated, WaitResult } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import { XID_MAX } from '../drivers/rules.js'
import type { Context, ContextBody, ExitReport } from '../schemas/context.js'
import { CAPTURE_LIMIT, type Command, type ProcessRequest } from '../schemas/process.js'
import type { UnameInput } from '../schemas/uname.js'
import { safeBcaps } from '../vocabulary/bcaps.js'
import { PERSISTENT, STATE_ADMIN, STATE_BITS, STATE_INIT, STATE_SETUP } from '../vocabulary/flags.js'
import { migrate, SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import { SIGKILL } from '../vocabulary/signals.js'
import { checkUnameValue, unameFields, type UnameField } from '../vocabulary/uname.js'
import { WORD_MAX } from '../vocabulary/word.js'
import { audited, type NativeCall, type Writes } from './audited.js'
import { processSpec } from './command.js'
import { ExitReports, exitReport } from './exit-reports.js'
import { Locks } from './locks.js'
import { invalid, Refusal } from './refusal.js'
import { contextView, readWord, unameField } from './view.js'
import {
  checkIrreversible,
  checkSupported,
  replaceableBits,
  tableOf,
  wordFromInput,
  wordKinds,
  type WordKind
} from './words.js'

/** Contexts without an xid of their own get one from here on, as dynamic ids did on early kernels. */
const FIRST_FREE_XID = 49152

/** How a write is asked to be done, and what it has done so far. */
export interface Write {
  calls: NativeCall[]
  dryRun?: boolean | undefined
  /** Keep unsupported names instead of refusing them. */
  record?: boolean | undefined
  irreversible?: boolean | undefined
}

export interface Applied {
  xid: number
  changed: string[]
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
}

export interface ChangedWordValue {
  changed: boolean
  word: bigint
  /** The bits that may still be changed. */
  mask: bigint
}

const isCode = (error: unknown, code: string) => error instanceof CallError && error.code === code

export class Contexts {
  readonly #locks = new Locks()
  readonly #reports = new ExitReports()

  constructor(readonly driver: Driver) {
    driver.onDeath = (xid, result) => {
      this.#reports.add(exitReport(xid, result))
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
      if (this.driver.exists(asked)) throw new CallError('EEXIST', 'vx_create', `context ${asked} exists`)
      return this.#locks.run(asked, () => this.#create(asked, body, plan, write, watch))
    }
    for (let xid = FIRST_FREE_XID; xid <= XID_MAX; xid++) {
      if (this.driver.exists(xid)) continue
      try {
        return await this.#locks.run(xid, () => this.#create(xid, body, plan, write, watch))
      } catch (error) {
        // Somebody else took it meanwhile; but an EEXIST from further on is an error like any other.
        if (!isCode(error, 'EEXIST') || !['vx_create', 'ctx_create', 'mkdir'].includes((error as CallError).call))
          throw error
      }
    }
    throw new CallError('ENOSPC', 'vx_create', `no free xid in ${FIRST_FREE_XID}..${XID_MAX}`)
  }

  /** Creates the context or brings it to this state; what the body leaves out stays as it is. */
  async apply(xid: number, body: ContextBody, write: Write): Promise<Applied> {
    const planned = this.#planCreation(body, write)
    return this.#locks.run(xid, async () => {
      if (this.driver.exists(xid)) return this.#converge(xid, body, write)
      return this.#create(xid, body, planned, write)
    })
  }

  /** Changes a word and says what it is then; makes no call when it was like this already. */
  async setWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    const before = readWord(this.driver, xid, kind)
    const wanted = (before & ~data.mask) | (data.flags & data.mask)
    // STATE_* bits that are cleared stay cleared: the kernel ignores the wish to set them, and so does the forecast.
    const after = kind === 'flags' ? wanted & (~STATE_BITS | before) : wanted
    checkSupported(this.driver, kind, after & ~before, write.record ?? false)
    if (kind === 'flags') checkIrreversible(before, after, write.irreversible ?? false)
    const changed = after !== before
    const mask = kind === 'flags' ? this.driver.vx_flags_get(xid).mask & (~STATE_BITS | after) : WORD_MAX
    if (changed && !write.dryRun) await this.#writes(write)[`vx_${kind}_set`](xid, data)
    return { changed, word: after, mask }
  }

  /** Sets the fields that differ; returns their names. */
  async setUname(xid: number, values: UnameInput, write: Write): Promise<UnameField[]> {
    this.#checkUname(values, write)
    const changed = unameFields
      .map(({ name }) => name)
      .filter((field) => values[field] !== undefined && values[field] !== unameField(this.driver, xid, field))
    if (write.dryRun) return changed
    const writes = this.#writes(write)
    for (const field of changed) await writes.vx_uname_set(xid, field, values[field] ?? '')
    return changed
  }

  async startProcess(xid: number, request: ProcessRequest, write: Write): Promise<Migrated> {
    const flags = migrate.parse(request.flags ?? [])
    if (flags & SET_REAPER && !(flags & SET_INIT)) throw invalid('flags', 'SET_REAPER goes with SET_INIT')
    if (flags & SET_INIT && request.capture) throw invalid('capture', 'is not for an init')
    if (flags & SET_INIT && request.timeout) throw invalid('timeout', 'is not for an init')
    if (request.stdin !== undefined && !request.capture) throw invalid('stdin', 'needs capture')
    const { initpid } = this.driver.vx_info(xid)
    if (flags & SET_INIT && initpid !== 0)
      throw new Refusal(409, 'init-running', `context ${xid} has an init, pid ${initpid}`, xid)
    return this.#writes(write).vx_migrate(xid, {
      flags,
      process: processSpec(request),
      ...(request.capture && {
        capture: { limit: CAPTURE_LIMIT, ...(request.stdin !== undefined && { stdin: request.stdin }) }
      }),
      ...(request.timeout && { timeoutMs: Math.ceil(request.timeout * 1000) })
    })
  }

  async kill(xid: number, pid: number, signal: number, write: Write): Promise<void> {
    await this.#writes(write).vx_kill(xid, pid, signal)
  }

  /** Waits for the context's death; a dead one's report is kept for a while. */
  async wait(xid: number, signal: AbortSignal): Promise<ExitReport> {
    let waiting: Promise<WaitResult>
    try {
      this.driver.vx_info(xid)
      waiting = this.driver.vx_wait(xid, signal)
    } catch (error) {
      const kept = isCode(error, 'ESRCH') ? this.#reports.get(xid) : undefined
      if (kept) return kept
      throw error
    }
    return exitReport(xid, await waiting)
  }

  /** Signal, grace, SIGKILL; gone when this resolves. */
  async destroy(xid: number, signal: number, graceMs: number, write: Write): Promise<Applied> {
    this.driver.vx_info(xid)
    if (write.dryRun) return { xid, changed: ['destroyed'] }
    return this.#locks.run(xid, async () => {
      const writes = this.#writes(write)
      const cancel = new AbortController()
      const gone = this.driver.vx_wait(xid, cancel.signal).then(() => true)
      gone.catch(() => undefined) // when a call below fails, nobody waits any more
      try {
        // Not persistent any more, the context goes with its last process, even if this daemon ends before that.
        if (this.driver.vx_flags_get(xid).flags & PERSISTENT)
          await writes.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
        await this.#killAll(writes, xid, signal)
        if (!(await within(gone, graceMs))) await this.#killAll(writes, xid, SIGKILL)
        await gone
      } finally {
        cancel.abort()
      }
      return { xid, changed: ['destroyed'] }
    })
  }

  #writes(write: Write): Writes {
    return audited(this.driver, write.calls)
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
    if (body.init) words.flags = 0n
    for (const kind of wordKinds) {
      const input = body[kind]
      if (input === undefined) continue
      words[kind] = wordFromInput(tableOf(this.driver, kind), input)
      checkSupported(this.driver, kind, words[kind], write.record ?? false)
    }
    if (words.flags & STATE_BITS) throw invalid('flags', 'has STATE_* bits, which are set and cleared by the daemon')
    return { ...words, uname: this.#unameOf(body, write) }
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

  /** As on a Linux-VServer kernel: persistent while it is being set up, names and caps from outside, then its init. */
  async #create(xid: number, body: ContextBody, plan: Plan, write: Write, watch?: AbortSignal): Promise<Applied> {
    if (!body.init && !(plan.flags & PERSISTENT))
      throw new Refusal(
        422,
        'not-persistent',
        'a context without init must be PERSISTENT, or it would end at once',
        xid
      )
    const applied: Applied = { xid, changed: ['created'] }
    if (write.dryRun) return applied
    const writes = this.#writes(write)
    const initial = plan.flags | PERSISTENT | STATE_SETUP | STATE_INIT | STATE_ADMIN
    await writes.vx_create(xid, { flags: initial, ...(body.root !== undefined && { root: body.root }) })
    try {
      await writes.vx_bcaps_set(xid, { flags: plan.bcaps, mask: WORD_MAX })
      if (plan.ccaps) await writes.vx_ccaps_set(xid, { flags: plan.ccaps, mask: WORD_MAX })
      for (const { name } of unameFields) {
        const value = plan.uname[name]
        if (value !== undefined) await writes.vx_uname_set(xid, name, value)
      }
      if (body.init) await this.#startInit(xid, body.init, writes)
      // While PERSISTENT is set the context cannot be gone yet, however short its init lived.
      if (watch) applied.ended = this.#watched(xid, watch)
      else if (!(plan.flags & PERSISTENT)) applied.view = contextView(this.driver, xid, PERSISTENT)
      if (!(plan.flags & PERSISTENT)) await this.#clearPersistent(xid, writes)
      if (this.driver.exists(xid)) this.driver.settle(xid)
    } catch (error) {
      if (this.driver.exists(xid)) await this.#undoCreation(xid, writes)
      throw error
    }
    return applied
  }

  /** The caller may never come to wait for it, when a later step fails. */
  #watched(xid: number, watch: AbortSignal): Promise<ExitReport> {
    const ended = this.wait(xid, watch)
    ended.catch(() => undefined)
    return ended
  }

  async #startInit(xid: number, init: Command, writes: Writes): Promise<void> {
    await writes.vx_migrate(xid, { flags: SET_INIT | SET_REAPER, process: processSpec(init) })
  }

  async #undoCreation(xid: number, writes: Writes): Promise<void> {
    const gone = this.driver.vx_wait(xid, new AbortController().signal)
    await this.#clearPersistent(xid, writes)
    await this.#killAll(writes, xid, SIGKILL)
    await gone
    this.#reports.forget(xid) // it has never been
  }

  /** A short-lived init may be over, and its context gone, before this is done. */
  async #clearPersistent(xid: number, writes: Writes): Promise<void> {
    try {
      await writes.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
    } catch (error) {
      if (!isCode(error, 'ESRCH')) throw error
    }
  }

  async #converge(xid: number, body: ContextBody, write: Write): Promise<Applied> {
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
        (await this.setWord(xid, kind, data, { ...write, dryRun: write.dryRun === true || kind === 'flags' })).changed
      )
        changed.push(kind)
    }
    for (const field of await this.setUname(xid, this.#unameOf(body, write), write)) changed.push(`uname.${field}`)
    if (body.init && this.driver.vx_info(xid).initpid === 0) {
      changed.push('init')
      if (!write.dryRun) await this.#startInit(xid, body.init, this.#writes(write))
    }
    // Flags last: without PERSISTENT the context needs the init that was started just now.
    if (changed.includes('flags') && body.flags !== undefined)
      await this.setWord(
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

import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BcapsAbi } from '../../vocabulary/bcaps.js'
import { INFO_INIT, INFO_PRIVATE, PERSISTENT, STATE_INIT, STATE_SETUP } from '../../vocabulary/flags.js'
import { SET_INIT } from '../../vocabulary/migrate.js'
import { noLimits, type Limits } from '../../vocabulary/limits.js'
import { SIGKILL } from '../../vocabulary/signals.js'
import { unameFields, type UnameField } from '../../vocabulary/uname.js'
import type { Treatment, VocabularyKind } from '../../vocabulary/treatment.js'
import type {
  ContextDetails,
  CreateData,
  Death,
  Driver,
  FlagsData,
  MigrateData,
  Migrated,
  Process,
  Stat,
  WaitResult
} from '../driver.js'
import { CallError, whileThere, withErrno } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import { Launchers } from '../launcher/launchers.js'
import type { LauncherSpec, LogTarget } from '../launcher/order.js'
import { asCallError, vserver } from '../native.js'
import { parseStat } from '../procfs.js'
import { PastDeaths } from '../past-deaths.js'
import * as rules from '../rules.js'
import { treatmentOf, type TreatmentTable } from '../treatments.js'
import { Deaths } from './deaths.js'
import { followCalls, helperWarning } from './helper.js'
import { probeKernel, type Kernel } from './kernel.js'
import { deathsIn, Records } from './records.js'
import { treatmentsOf } from './treatments.js'

/** How long what was killed may take to be gone. */
const REMOVE_TIMEOUT_MS = 10_000

/** Zombies keep their xid until they are waited for, also when their context is gone and another one has it. */
const hasEnded = ['Z', 'X']

/** What a call was answered last. */
const words = new BigUint64Array(10)
/** A load average of 1. */
const LOAD_ONE = 2048

const fieldIds = Object.fromEntries(unameFields.map(({ name, id }) => [name, id])) as Record<UnameField, number>

export interface VserverOptions {
  /** Where the kernel lists its contexts. */
  procVirtual: string
  /** Where records are kept. */
  stateDir: string
  /** Where output goes that is not captured. */
  log: LogTarget | undefined
  /** Hears of half-made contexts that cannot be removed. */
  warn: (error: unknown) => void
}

/**
 * Contexts of a Linux-VServer kernel, by vserver(2). The kernel is the database, others may change it too, so every
 * question is asked anew. What moves a task into a context is done by the launcher, never here.
 */
export class VserverDriver implements Driver {
  readonly name = 'vserver'
  readonly bcapsAbi: BcapsAbi
  readonly about: string
  onStart: Driver['onStart']
  onExit: Driver['onExit']
  onDeath: Driver['onDeath']
  onError: Driver['onError']
  readonly warnings: readonly string[]
  #onHelper: Driver['onHelper']
  #unfollow: (() => void) | undefined

  readonly #procVirtual: string
  readonly #stateDir: string
  readonly #records: Records
  readonly #pastDeaths: PastDeaths
  readonly #spaces: bigint
  readonly #treatments: TreatmentTable
  readonly #launchers: Launchers
  readonly #launches = new Set<Launch>()
  readonly #deaths = new Deaths(
    (xid, result) => {
      const owner = this.#records.ownerOf(xid)
      const incarnation = this.#records.lastIncarnation(xid)
      // A creation that failed has never been.
      if (this.#started.delete(xid) || !this.#records.isMaking(xid))
        this.#noteDeath({ xid, result, owner, incarnation })
      this.#records.forget(xid)
      if (!this.#emptied.has(xid)) this.onExit?.(xid, result, owner)
      this.onDeath?.(xid, result, owner, incarnation)
    },
    (error) => this.onError?.(error)
  )
  /** Contexts without a process that end because PERSISTENT was cleared. */
  readonly #emptied = new Set<number>()
  /** Contexts in which a process has been started by this daemon. */
  readonly #started = new Set<number>()
  /** First processes on their way into a context that is being set up. */
  readonly #entering = new Map<number, Promise<unknown>>()

  private constructor(kernel: Kernel, { procVirtual, stateDir, log }: VserverOptions, records: Records) {
    this.#launchers = new Launchers(undefined, log)
    this.#stateDir = stateDir
    this.#procVirtual = procVirtual
    const warning = helperWarning()
    this.warnings = warning === undefined ? [] : [warning]
    this.#records = records
    this.#pastDeaths = new PastDeaths(deathsIn(stateDir))
    this.bcapsAbi = kernel.abi
    this.about = kernel.about
    this.#spaces = kernel.spaces
    this.#treatments = treatmentsOf(kernel.abi)
    this.#launchers.prepare('plain')
  }

  /**
   * Probes, and removes contexts that an earlier daemon left half-made.
   * @throws CallError ENOSYS where there is no such kernel; what the state directory cannot do
   */
  static async open(options: VserverOptions): Promise<VserverDriver> {
    const kernel = probeKernel()
    const records = new Records(options.stateDir)
    let driver
    try {
      driver = new VserverDriver(kernel, options, records)
      for (const xid of records.xids()) await driver.#takeOver(xid).catch(options.warn)
      for (const xid of driver.list()) await driver.#watchMortal(xid).catch(options.warn)
      return driver
    } catch (error) {
      if (driver) await driver.close()
      else records.close()
      throw error
    }
  }

  takePastDeaths(): readonly Death[] {
    return this.#pastDeaths.take()
  }

  #noteDeath(death: Omit<Death, 'at'>): void {
    try {
      this.#pastDeaths.note(death)
    } catch (error) {
      this.onError?.(error) // who waits now hears all the same
    }
  }

  get onHelper(): Driver['onHelper'] {
    return this.#onHelper
  }

  /** Also hears of calls that were made while no daemon ran. */
  set onHelper(listener: Driver['onHelper']) {
    this.#onHelper = listener
    this.#unfollow?.()
    this.#unfollow = listener && followCalls(this.#stateDir, listener)
  }

  treatment(kind: VocabularyKind, name: string): Treatment {
    return treatmentOf(this.#treatments, kind, name)
  }

  async vx_create(xid: number, data: CreateData): Promise<void> {
    rules.checkXid(xid, 'vx_create')
    if (this.exists(xid)) throw new CallError('EEXIST', 'vx_create', `context ${xid} exists`)
    await this.#deaths.ended(xid)
    const { owner, root = null } = data
    this.#records.begin(xid, owner, root, process.hrtime.bigint())
    try {
      await this.#launch({ mode: 'vs_create', xid, root, word: data.flags | PERSISTENT, spaces: this.#spaces })
    } catch (error) {
      this.#records.forget(xid)
      throw error
    }
    if (!(data.flags & PERSISTENT)) await this.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
  }

  settle(xid: number): void {
    const uptime = whileThere(() => ask(xid, () => vserver.uptime(xid)))
    if (uptime !== undefined) this.#records.settle(xid, bornAt(uptime))
  }

  async vx_migrate(xid: number, data: MigrateData): Promise<Migrated> {
    for (;;) {
      const { flags } = this.vx_flags_get(xid)
      if (!(flags & STATE_SETUP)) return this.#enter(xid, data, flags, 0n).result
      const before = this.#entering.get(xid)
      if (before) {
        await before.catch(() => undefined)
        continue
      }
      // One at a time: the first ends the setup, for good.
      const cleared = STATE_SETUP | (data.flags & SET_INIT ? STATE_INIT : 0n)
      const { started, result } = this.#enter(xid, data, flags, cleared)
      this.#entering.set(xid, started)
      started.catch(() => undefined).finally(() => this.#entering.delete(xid))
      return result
    }
  }

  vx_task_xid(pid: number): number {
    return ask(undefined, () => vserver.taskXid(pid), `there is no process ${pid}`)
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: ask(xid, () => vserver.vxInfo(xid)) }
  }

  vx_stat(xid: number): Stat {
    const { usecnt, tasks } = ask(xid, () => vserver.ctxStat(xid))
    ask(xid, () => {
      vserver.virtStat(xid, words)
    })
    const [offset = 0n, uptime = 0n, ...counts] = words
    const [nr_threads = 0, nr_running = 0, nr_unintr = 0, nr_onhold = 0, nr_forks = 0, ...loads] = counts.map(Number)
    const [one = 0, five = 0, fifteen = 0] = loads.map((load) => load / LOAD_ONE)
    const load: Stat['load'] = [one, five, fifteen]
    return { usecnt, tasks, nr_threads, nr_running, nr_unintr, nr_onhold, nr_forks, load, offset, uptime }
  }

  vx_bcaps_get(xid: number): bigint {
    return ask(xid, () => vserver.getBcaps(xid))
  }

  vx_bcaps_set(xid: number, data: FlagsData): void {
    ask(xid, () => {
      vserver.setBcaps(xid, data.flags, data.mask)
    })
  }

  vx_ccaps_get(xid: number): bigint {
    return ask(xid, () => vserver.getCcaps(xid))
  }

  vx_ccaps_set(xid: number, data: FlagsData): void {
    ask(xid, () => {
      vserver.setCcaps(xid, data.flags, data.mask)
    })
  }

  vx_flags_get(xid: number): FlagsData {
    ask(xid, () => {
      vserver.getCflags(xid, words)
    })
    const [flags = 0n, mask = 0n] = words
    return { flags, mask }
  }

  async vx_flags_set(xid: number, data: FlagsData): Promise<void> {
    // The kernel changes flags without a lock: a change beside the one that ends the setup could bring the setup back.
    await this.#entering.get(xid)?.catch(() => undefined)
    const touchesLife = (data.mask & PERSISTENT) !== 0n
    // From now on the context may end at any time, and nobody but a waiting thread is told how.
    if (touchesLife && !(data.flags & PERSISTENT)) await this.#hold(xid)
    try {
      ask(xid, () => {
        vserver.setCflags(xid, data.flags, data.mask)
      })
    } finally {
      if (touchesLife) await this.#settleWatch(xid)
    }
  }

  vx_uname_get(xid: number, field: UnameField): string {
    rules.checkField(field, 'vx_uname_get')
    return ask(xid, () => vserver.getVhiName(xid, fieldIds[field]))
  }

  vx_uname_set(xid: number, field: UnameField, value: string): void {
    rules.checkField(field, 'vx_uname_set')
    ask(xid, () => {
      vserver.setVhiName(xid, fieldIds[field], value)
    })
  }

  async vx_kill(xid: number, pid: number, signal: number): Promise<void> {
    await this.#deaths.entered(xid)
    ask(
      xid,
      () => {
        vserver.ctxKill(xid, pid, signal)
      },
      `context ${xid} is not there, or has no process for pid ${pid}`
    )
  }

  async vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    // A context that has just died is gone, while the thread that knows how is about to tell.
    if (!this.#deaths.isWatched(xid)) this.vx_info(xid)
    return this.#deaths.wait(xid, signal)
  }

  limits_get(): Limits {
    return noLimits
  }

  limits_set(xid: number): never {
    throw new CallError(
      'ENOSYS',
      'limits_set',
      `the context API of a Linux-VServer kernel has no limits for context ${xid}`
    )
  }

  exists(xid: number): boolean {
    return whileThere(() => this.vx_info(xid)) !== undefined
  }

  incarnation(xid: number): bigint {
    return this.#records.incarnation(xid, bornAt(ask(xid, () => vserver.uptime(xid))))
  }

  probe(): void {
    ask(undefined, () => vserver.getVersion())
    this.list()
  }

  list(): number[] {
    return withErrno('readdir', this.#procVirtual, () => readdirSync(this.#procVirtual))
      .flatMap((name) => (/^[1-9]\d*$/.test(name) ? [Number(name)] : []))
      .filter((xid) => xid >= rules.XID_MIN)
      .sort((a, b) => a - b)
  }

  /** By the record alone: no command is spent on it. */
  ownerOf(xid: number): number | null {
    return this.#records.ownerOf(xid)
  }

  details(xid: number, flags = this.vx_flags_get(xid).flags): ContextDetails {
    const [tasks, uptime] = ask(xid, () => [vserver.tasks(xid), vserver.uptime(xid)] as const)
    const { owner, root, created_at } = this.#records.of(xid, bornAt(uptime))
    // PERSISTENT holds a reference of its own.
    return { owner, root, created_at, populated: tasks > (flags & PERSISTENT ? 1 : 0) }
  }

  async processes(xid: number): Promise<Process[]> {
    const { initpid } = this.vx_info(xid)
    const showsInit = (this.vx_flags_get(xid).flags & INFO_INIT) !== 0n
    const { stdout } = await this.#launch({ mode: 'vs_list', xid })
    return stdout
      .toString()
      .split('\0')
      .filter((stat) => stat !== '')
      .map((stat) => {
        const pid = parseInt(stat, 10)
        return parseStat(stat, showsInit && pid === initpid ? 1 : pid).process
      })
      .filter(({ state }) => !hasEnded.includes(state))
  }

  /** Others may change a context, and guests their names, without a word to us. */
  revision(): undefined {
    return undefined
  }

  async close(): Promise<void> {
    this.#unfollow?.()
    await this.#deaths.close()
    for (const launch of this.#launches) launch.release()
    this.#launchers.close()
    this.#records.close()
  }

  #start(spec: LauncherSpec): Launch {
    const launch = this.#launchers.start(spec)
    this.#launches.add(launch)
    void launch.ended.then(() => this.#launches.delete(launch))
    return launch
  }

  /** Runs a launcher to its end. */
  async #launch(spec: LauncherSpec & { xid: number }): Promise<Launch> {
    const launch = this.#start(spec)
    const [started] = await Promise.allSettled([launch.started, launch.ended])
    if (started.status === 'rejected') throw explained(started.reason, spec.xid)
    return launch
  }

  #enter(xid: number, data: MigrateData, flags: bigint, clears: bigint) {
    const launch = this.#start({
      mode: 'vs_enter',
      xid,
      word: data.flags,
      spaces: this.#spaces,
      clears,
      isPrivate: (flags & INFO_PRIVATE) !== 0n,
      ...(!data.capture && { log: { xid, incarnation: this.#writesAs(xid) } }),
      process: data.process,
      capture: data.capture,
      timeoutMs: data.timeoutMs
    })
    const started = launch.started.then(
      (pid) => {
        this.#started.add(xid)
        this.onStart?.(xid, pid, (data.flags & SET_INIT) !== 0n)
        return pid
      },
      async (error: unknown) => {
        await launch.ended // nothing of the attempt is left when it is answered
        throw explained(error, xid)
      }
    )
    return { started, result: this.#migrated(launch, started, data) }
  }

  /** A record that is not settled is of the context that is being made just now. */
  #writesAs(xid: number): bigint {
    if (this.#records.isMaking(xid)) return this.#records.lastIncarnation(xid)
    return this.#records.keepIncarnation(xid, bornAt(ask(xid, () => vserver.uptime(xid))))
  }

  async #migrated(launch: Launch, started: Promise<number>, data: MigrateData): Promise<Migrated> {
    const pid = await started
    if (!data.capture) return { pid }
    const exit = await launch.ended
    if (!exit) throw new CallError('EIO', 'waitpid', 'the launcher was killed before the process ended')
    return { pid, captured: { ...exit, stdout: launch.stdout.toString(), stderr: launch.stderr.toString() } }
  }

  /** After a change of PERSISTENT: a context that is gone has told so, one that can stay needs no watch. */
  async #settleWatch(xid: number): Promise<void> {
    if (!this.exists(xid)) {
      this.#emptied.add(xid)
      await this.#deaths.ended(xid)
      this.#emptied.delete(xid)
    } else if (this.vx_flags_get(xid).flags & PERSISTENT) this.#deaths.release(xid)
  }

  /** Without a thread nobody will know how the context ends, which must not keep it from ending. */
  async #hold(xid: number): Promise<void> {
    await this.#deaths.hold(xid).catch((error: unknown) => this.onError?.(error))
  }

  async #watchMortal(xid: number): Promise<void> {
    if (!(this.vx_flags_get(xid).flags & PERSISTENT)) await this.#hold(xid)
  }

  /** A record that an earlier daemon left: of a context that is gone, half-made, or whole. */
  async #takeOver(xid: number): Promise<void> {
    const born = this.exists(xid) ? bornAt(ask(xid, () => vserver.uptime(xid))) : undefined
    if (born === undefined || !this.#records.has(xid, born)) {
      this.#records.forget(xid)
      return
    }
    if (this.#records.of(xid, born).settled) return
    this.#removeNow(xid)
    for (let waited = 0; this.exists(xid); waited += 10) {
      if (waited > REMOVE_TIMEOUT_MS)
        throw new CallError('EBUSY', 'ctx_kill', `context ${xid} was left half-made and does not end`)
      await sleep(10)
    }
    this.#records.forget(xid)
  }

  #removeNow(xid: number): void {
    whileThere(() => {
      ask(xid, () => {
        vserver.setCflags(xid, 0n, PERSISTENT)
        vserver.ctxKill(xid, 0, SIGKILL)
      })
    })
  }
}

/** When a context of this age was made, by CLOCK_MONOTONIC in nanoseconds. */
const bornAt = (uptime: bigint) => process.hrtime.bigint() - uptime

const reasons: Record<string, (xid: number) => string> = {
  ESRCH: (xid) => `there is no context ${xid}`,
  EACCES: (xid) => `context ${xid} is private (INFO_PRIVATE), or no longer administrable (STATE_ADMIN is cleared)`,
  EFAULT: (xid) => `context ${xid} is shutting down`,
  EBUSY: (xid) => `context ${xid} is being set up by somebody else`,
  ENOEXEC: (xid) => `the helper program (kernel.vshelper) refused context ${xid}`,
  ENOSYS: () => 'contextd lacks CAP_CONTEXT'
}

/** What an errno of a vserver command means; the errno of anything else is left as it is. */
function explained(error: unknown, xid: number, detail?: string): unknown {
  if (!(error instanceof CallError)) return error
  if (detail !== undefined && error.code === 'ESRCH') return new CallError(error.code, error.call, detail)
  const reason = error.detail === '' ? reasons[error.code]?.(xid) : undefined
  // The kernel says EBUSY of a context in setup; for a caller it is one that exists.
  const code = error.call === 'ctx_create' && error.code === 'EBUSY' ? 'EEXIST' : error.code
  return new CallError(code, error.call, reason ?? (error.detail === '' ? `context ${xid}` : error.detail))
}

/** Makes a call about a context and explains its failure. */
function ask<T>(xid: number | undefined, call: () => T, detail?: string): T {
  try {
    return call()
  } catch (error) {
    throw explained(asCallError(error as Error, []), xid ?? 0, detail)
  }
}

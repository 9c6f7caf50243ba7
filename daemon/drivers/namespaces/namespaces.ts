import { setMaxListeners } from 'node:events'
import { release } from 'node:os'
import type { Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
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
import { CallError } from '../errors.js'
import type { Launchers } from '../launcher/launchers.js'
import { native } from '../native.js'
import * as rules from '../rules.js'
import { treatmentOf } from '../treatments.js'
import { Adoption } from './adoption.js'
import type { CgroupHome } from './cgroups.js'
import type { Context } from './context.js'
import { makeContext } from './creation.js'
import { Ends } from './ends.js'
import { ForkCounter } from './forks.js'
import { applyLimits, LIMIT_FLAGS, type Limited } from './limits.js'
import { Lives } from './lives.js'
import { LoadAverage, LoadSampler } from './load.js'
import { missingHere } from './missing.js'
import { nameOf, setName } from './names.js'
import { signalContext } from './signals.js'
import { OomKills } from './oom-kills.js'
import { Starts } from './starts.js'
import { cgroupOf, statOf, tasksOf } from './tasks.js'
import { Told } from './told.js'
import { treatments } from './treatments.js'

/** Contexts on a stock kernel: a cgroup v2 directory each, namespaces while a process runs. */
export class NamespacesDriver extends Told implements Driver {
  readonly name = 'namespaces'
  readonly bcapsAbi = 'linux'
  readonly about: string
  readonly #home: CgroupHome
  readonly #launchers: Launchers
  readonly #forks: ForkCounter | undefined
  readonly #lives: Lives
  readonly #starts: Starts
  readonly #adoption: Adoption
  readonly #loads: LoadSampler
  readonly #oomKills: OomKills<Context>
  /** What this host lacks, by "kind.name". */
  readonly #missing: ReadonlyMap<string, string>
  readonly #closing = new AbortController()

  /** By openNamespaces(), which has probed what this takes. */
  constructor(
    home: CgroupHome,
    launchers: Launchers,
    forks: ForkCounter | CallError,
    missingLxcfs: readonly [string, string][]
  ) {
    super()
    const closing = this.#closing.signal
    setMaxListeners(0, closing) // one for each context that is watched
    this.#home = home
    this.#launchers = launchers
    if (forks instanceof ForkCounter) this.#forks = forks
    this.#lives = new Lives(home.contexts, launchers, this.#forks, this)
    const ends = new Ends(this.#lives, closing)
    this.#starts = new Starts(this.#lives, ends, launchers)
    this.#adoption = new Adoption(home, this.#forks, this.#lives, ends, closing)
    this.#loads = new LoadSampler({ path: home.contexts, loadAverage: new LoadAverage() }, () =>
      [...this.#lives.all()].filter(({ populated }) => populated)
    )
    this.#oomKills = new OomKills(
      home.contexts,
      () => this.#lives.all(),
      (context, kills) => this.onOom?.(context.xid, kills, context.owner),
      this.#lives.reportLost
    )
    this.#lives.onRunEnded = (context) => {
      this.#oomKills.lookAt(context) // the watch may hear only when the cgroup is gone
    }
    this.#missing = missingHere(home, forks, missingLxcfs)
    this.about = `Linux ${release()}, contexts in ${home.contexts}`
  }

  /** Takes over the contexts that an earlier daemon left, and clears away half-made ones. @param warn hears of those that cannot be taken over */
  async adoptAll(warn: (error: unknown) => void): Promise<void> {
    await this.#adoption.adoptAll(warn)
    for (const context of this.#lives.all()) this.#oomKills.adopt(context)
  }

  takePastDeaths(): readonly Death[] {
    return this.#lives.takePastDeaths()
  }

  treatment(kind: VocabularyKind, name: string): Treatment {
    return this.#missing.has(`${kind}.${name}`) ? 'unsupported' : treatmentOf(treatments, kind, name)
  }

  missing(kind: VocabularyKind, name: string): string | undefined {
    return this.#missing.get(`${kind}.${name}`)
  }

  vx_create(xid: number, data: CreateData): void {
    rules.checkXid(xid, 'vx_create')
    if (this.exists(xid)) throw new CallError('EEXIST', 'vx_create', `context ${xid} exists`)
    if (data.root !== undefined) native.checkRoot(data.root)
    const context = makeContext(
      this.#home,
      this.#forks,
      xid,
      data,
      (flag) => this.treatment('flags', flag) === 'at_create'
    )
    this.#lives.add(context)
  }

  catchUp(): void {
    void this.#adoption.catchUp()
  }

  settle(xid: number): void {
    const context = this.#lives.find(xid, 'settle')
    if (context.gone) return
    context.settle()
    this.#lives.announce(context)
  }

  async vx_migrate(xid: number, data: MigrateData): Promise<Migrated> {
    const context = this.#lives.find(xid, 'vx_migrate')
    rules.requireEnter(context.flags, xid, 'vx_migrate')
    this.#adoption.reach(context)
    return this.#starts.start(context, data)
  }

  vx_task_xid(pid: number): number {
    if (pid === 0) return 0
    return this.#home.xidOf(cgroupOf(pid))
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: this.#lives.find(xid, 'vx_info').initpid }
  }

  async vx_stat(xid: number): Promise<Stat> {
    const context = this.#lives.find(xid, 'vx_stat')
    const forks = context.forks ? (this.#forks?.read(context.forks) ?? null) : null
    return statOf(context, await tasksOf(context, 'vx_stat'), forks, this.#loads.sample)
  }

  vx_bcaps_get(xid: number): bigint {
    return this.#lives.find(xid, 'vx_bcaps_get').bcaps
  }

  vx_bcaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_bcaps_set')
    context.saveWord('bcaps', rules.replaceBits(context.bcaps, data))
    this.#lives.touch(context)
  }

  vx_ccaps_get(xid: number): bigint {
    return this.#lives.find(xid, 'vx_ccaps_get').ccaps
  }

  vx_ccaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_ccaps_set')
    context.saveWord('ccaps', rules.replaceBits(context.ccaps, data))
    this.#lives.touch(context)
  }

  vx_flags_get(xid: number): FlagsData {
    const { flags } = this.#lives.find(xid, 'vx_flags_get')
    return { flags, mask: rules.changeableFlags(flags) }
  }

  async vx_flags_set(xid: number, data: FlagsData): Promise<void> {
    const context = this.#administrable(xid, 'vx_flags_set')
    const { paused, flags: before } = context
    const flags = rules.changeFlags(before, data)
    if ((flags ^ before) & LIMIT_FLAGS) await this.#limit(context, { flags, limits: context.limits })
    if (context.gone) throw rules.noSuchContext(xid, 'vx_flags_set')
    context.saveWord('flags', rules.changeFlags(context.flags, data))
    this.#lives.touch(context)
    if (context.paused !== paused) await this.#starts.pauseOrGoOn(context)
    await this.#lives.removeWhenDead(context)
  }

  vx_uname_get(xid: number, field: UnameField): string {
    rules.checkField(field, 'vx_uname_get')
    return nameOf(this.#lives.find(xid, 'vx_uname_get'), field)
  }

  vx_uname_set(xid: number, field: UnameField, value: string): void {
    rules.checkField(field, 'vx_uname_set')
    const context = this.#administrable(xid, 'vx_uname_set')
    setName(context, field, value)
    this.#lives.touch(context)
  }

  async vx_kill(xid: number, pid: number, signal: number): Promise<void> {
    const context = this.#lives.find(xid, 'vx_kill')
    this.#adoption.reach(context)
    rules.checkSignal(signal, 'vx_kill')
    if (pid !== 1) rules.requireAdmin(context.flags, xid, 'vx_kill')
    await signalContext(context, pid, signal)
  }

  async vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    const context = this.#lives.find(xid, 'vx_wait')
    this.#adoption.reach(context)
    return context.waiters.wait(signal)
  }

  limits_get(xid: number): Limits {
    return this.#lives.find(xid, 'limits_get').limits
  }

  async limits_set(xid: number, changes: Partial<Limits>): Promise<void> {
    const context = this.#administrable(xid, 'limits_set')
    const limits = { ...context.limits, ...changes }
    await this.#limit(context, { flags: context.flags, limits })
    if (context.gone) throw rules.noSuchContext(xid, 'limits_set')
    context.saveLimits(limits)
    this.#lives.touch(context)
  }

  /** The files first: what the kernel refuses is not kept. */
  #limit(context: Context, wanted: Limited): Promise<void> {
    return applyLimits(context.path, wanted, context, this.#home)
  }

  exists(xid: number): boolean {
    return this.#lives.get(xid) !== undefined
  }

  incarnation(xid: number): bigint {
    return this.#lives.find(xid, 'incarnation').incarnation
  }

  probe(): void {
    this.#home.probe()
    this.#launchers.probe()
  }

  list(): number[] {
    return this.#lives.xids()
  }

  ownerOf(xid: number): number | null {
    return this.#lives.get(xid)?.owner ?? null
  }

  details(xid: number): ContextDetails {
    const context = this.#lives.find(xid, 'details')
    return {
      owner: context.owner,
      root: context.root,
      created_at: context.createdAt,
      last_exit: context.lastExit,
      populated: context.populated
    }
  }

  async processes(xid: number): Promise<Process[]> {
    return (await tasksOf(this.#lives.find(xid, 'processes'), 'processes')).map(({ process }) => process)
  }

  revision(xid: number): number | undefined {
    const context = this.#lives.find(xid, 'revision')
    return context.namesMayDiffer ? undefined : context.revision
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const context of this.#lives.all()) {
      context.pid1 = undefined
      context.shim?.release()
      for (const join of context.joins) join.release()
    }
    this.#loads.close()
    this.#oomKills.close()
    this.#launchers.close()
    this.#forks?.close()
    this.#home.close()
  }

  #administrable(xid: number, call: string): Context {
    const context = this.#lives.find(xid, call)
    rules.requireAdmin(context.flags, xid, call)
    this.#adoption.reach(context)
    return context
  }
}

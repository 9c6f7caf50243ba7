import { setMaxListeners } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import type { Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
import type { Treatment, VocabularyKind } from '../../vocabulary/treatment.js'
import { WORD_MAX } from '../../vocabulary/word.js'
import type {
  ContextDetails,
  CreateData,
  Driver,
  FlagsData,
  MigrateData,
  Migrated,
  Process,
  Stat,
  WaitResult
} from '../driver.js'
import { CallError, withErrno } from '../errors.js'
import { Launchers } from '../launcher/launchers.js'
import type { LogTarget } from '../launcher/order.js'
import { native } from '../native.js'
import { guestProcesses } from '../procfs.js'
import type { Death } from '../past-deaths.js'
import * as rules from '../rules.js'
import { treatmentOf } from '../treatments.js'
import { Adoption } from './adoption.js'
import { CgroupHome, isFrozen, setFrozen } from './cgroups.js'
import { Context } from './context.js'
import { moveInto } from './delegation.js'
import { Ends } from './ends.js'
import { ForkCounter } from './forks.js'
import { hostNames } from './host-names.js'
import { applyDefaults, applyLimits, LIMIT_FLAGS, missingLimits, type Limited } from './limits.js'
import { Lives } from './lives.js'
import { LoadAverage, LoadSampler } from './load.js'
import { lxcfsFiles, missingVirtual } from './lxcfs.js'
import { signalContext } from './signals.js'
import { OomKills } from './oom-kills.js'
import { missingSpaces, spacesFor } from './spaces.js'
import { isEnded, Starts } from './starts.js'
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

  private constructor(
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
    this.#missing = new Map([
      ...[...missingSpaces].map(([flag, why]) => [`flags.${flag}`, why] as const),
      ...missingLimits(home.missing),
      ...missingLxcfs,
      ...(forks instanceof CallError ? [['stat.nr_forks', `bpf(2) is refused: ${forks.code}`] as const] : [])
    ])
    this.about = `Linux ${release()}, contexts in ${home.contexts}`
  }

  /**
   * Probes, adopts the contexts that are there, and clears away half-made ones.
   * @param root cgroup directory for contexts (CgroupHome)
   * @param log where output goes that is not captured
   * @param defaultPidsMax of Limiting
   * @param warn hears of contexts that cannot be taken over
   * @throws CallError naming the call that this user or kernel refuses
   */
  static async open(
    root: string | undefined,
    log: LogTarget | undefined,
    warn: (error: unknown) => void,
    defaultPidsMax = 0
  ): Promise<NamespacesDriver> {
    const home = new CgroupHome(root, defaultPidsMax)
    let launchers: Launchers | undefined
    const counter = ForkCounter.open(home.contexts, home.level)
    const forks = counter instanceof ForkCounter ? counter : undefined
    try {
      const ready = (launchers = new Launchers(forks?.files, log, (pid) => {
        moveInto(home.shims, pid)
      }))
      await home.withScratch(async (path) => {
        const probe = ready.start({ mode: 'probe' }, { path })
        await probe.started
        await probe.ended
      })
      ready.prepare('join')
      const driver = new NamespacesDriver(home, ready, counter, await missingVirtual(home.missing))
      await driver.#adoption.adoptAll(warn)
      for (const context of driver.#lives.all()) driver.#oomKills.adopt(context)
      return driver
    } catch (error) {
      launchers?.close()
      forks?.close()
      home.close()
      throw error
    }
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
    const context = new Context(xid, this.#home.path(xid), this.#home.line(xid))
    withErrno('mkdir', context.path, () => {
      mkdirSync(context.path, { mode: 0o755 })
    })
    applyDefaults(context.path, this.#home)
    context.flags = data.flags
    context.forks = this.#forks?.count(context.path, xid, 0)
    if (context.paused) setFrozen(context.path, true)
    context.spaces = spacesFor(data.flags)
    context.lxcfs = lxcfsFiles(data.flags, (flag) => this.treatment('flags', flag) === 'at_create')
    context.bcaps = WORD_MAX
    context.owner = data.owner
    context.root = data.root ?? null
    context.createdAt = new Date().toISOString()
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
    return this.#home.xidOf(withErrno('open', `/proc/${pid}/cgroup`, () => readCgroup(pid)))
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: this.#lives.find(xid, 'vx_info').initpid }
  }

  async vx_stat(xid: number): Promise<Stat> {
    const context = this.#lives.find(xid, 'vx_stat')
    const processes = await this.#guestProcesses(context, 'vx_stat')
    const inState = (state: string) => processes.filter(({ process }) => process.state === state).length
    return {
      usecnt: 1 + context.waiters.size,
      tasks: processes.length + (context.persistent ? 1 : 0),
      nr_threads: processes.reduce((sum, { threads }) => sum + threads, 0),
      nr_running: inState('R'),
      nr_unintr: inState('D'),
      nr_onhold: isFrozen(context.path) ? processes.length : 0,
      nr_forks: context.forks ? (this.#forks?.read(context.forks) ?? null) : null,
      load: context.loadAverage.at(this.#loads.sample),
      offset: context.offset,
      uptime: BigInt(Date.now() - Date.parse(context.createdAt)) * 1_000_000n
    }
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
    const context = this.#lives.find(xid, 'vx_uname_get')
    if (context.namesMayDiffer && (field === 'nodename' || field === 'domainname')) {
      try {
        return native.getUtsNames(context.openPid1())[field]
      } catch (error) {
        if (!isEnded(error)) throw error // PID 1 is on its way out, and its names with it
      }
    }
    return context.names.get(field) ?? hostNames[field]()
  }

  vx_uname_set(xid: number, field: UnameField, value: string): void {
    rules.checkField(field, 'vx_uname_set')
    const context = this.#administrable(xid, 'vx_uname_set')
    if (context.pid1) {
      if (field === 'nodename') native.setNodename(context.openPid1(), value)
      if (field === 'domainname') native.setDomainname(context.openPid1(), value)
    }
    context.saveName(field, value)
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
    return (await this.#guestProcesses(this.#lives.find(xid, 'processes'), 'processes')).map(({ process }) => process)
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

  async #guestProcesses(context: Context, call: string) {
    await context.starting
    const { reaper } = context
    const processes = (await guestProcesses(context.path)).filter(({ process }) => process.pid !== reaper)
    if (context.gone) throw rules.noSuchContext(context.xid, call)
    return processes
  }
}

function readCgroup(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new CallError('ESRCH', 'vx_task_xid', `there is no process ${pid}`)
  }
}

import { setMaxListeners } from 'node:events'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { hostname, machine, release, type, version } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { bcapsFor } from '../../vocabulary/bcaps.js'
import { IGNEG_NICE, SC_HELPER, STATE_INIT, STATE_SETUP } from '../../vocabulary/flags.js'
import { SET_INIT } from '../../vocabulary/migrate.js'
import { rebootName } from '../../vocabulary/reboot.js'
import { SIGKILL } from '../../vocabulary/signals.js'
import { noLimits, type Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
import type { Treatment, VocabularyKind } from '../../vocabulary/treatment.js'
import { WORD_MAX } from '../../vocabulary/word.js'
import type {
  ContextDetails,
  CreateData,
  Driver,
  FlagsData,
  HelperCall,
  MigrateData,
  Migrated,
  Process,
  Stat,
  WaitResult
} from '../driver.js'
import { CallError, withErrno } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import { Launchers } from '../launcher/launchers.js'
import type { LauncherSpec, LogTarget } from '../launcher/order.js'
import type { Pid1 } from '../launcher/report.js'
import { native } from '../native.js'
import { guestProcesses } from '../procfs.js'
import { PastDeaths, type Death } from '../past-deaths.js'
import * as rules from '../rules.js'
import { treatmentOf } from '../treatments.js'
import { watchPath } from '../watch.js'
import { deathsIn, readAttribute, readAttributes, type Attributes } from './attributes.js'
import { CgroupHome, isFrozen, isPopulated, killAll, removeTree, setFrozen } from './cgroups.js'
import { Context } from './context.js'
import { moveInto } from './delegation.js'
import { ForkCounter, type Counted } from './forks.js'
import { applyLimits, LIMIT_FLAGS, missingLimits, type Limited } from './limits.js'
import { LoadAverage, LoadSampler } from './load.js'
import { lxcfsFiles, missingVirtual } from './lxcfs.js'
import { reachShim } from './shims.js'
import { missingSpaces, spacesFor } from './spaces.js'
import { treatments } from './treatments.js'

const SYS_ADMIN = bcapsFor('linux').bit('SYS_ADMIN')
/** Starts of a process, when the reaper ends each time just before. */
const MAX_ATTEMPTS = 5
/** How long the end of a reaper that has lost its last process may take to be heard of. */
const LOST_REAPER_TIMEOUT_MS = 1000
/** How long launchers whose processes have ended may take to write down how. */
const LAUNCHER_TIMEOUT_MS = 10_000
/** How long an order that an earlier daemon gave may take: exec_limit_ms of native/launcher/report.h, and some more. */
const ORDER_TIMEOUT_MS = 35_000
/** How long a flag's setter waits for the last process to stop. One in an uninterruptible sleep stops after it. */
const FREEZE_TIMEOUT_MS = 1000
/** Between looks at what cannot be watched. */
const POLL_MS = 500
/** Between two shims that are reached: requests that waited for the daemon come first. */
const REACH_PACE_MS = 1
/** How long processes that were killed may take to be gone before a directory is given up on. */
const REMOVE_TIMEOUT_MS = 10_000

/** Contexts on a stock kernel: a cgroup v2 directory each, namespaces while a process runs. */
export class NamespacesDriver implements Driver {
  readonly name = 'namespaces'
  readonly bcapsAbi = 'linux'
  readonly about: string
  readonly #unheard: Parameters<NonNullable<Driver['onDeath']>>[] = []
  #onDeath: Driver['onDeath']
  readonly #untold: HelperCall[] = []
  #onHelper: Driver['onHelper']
  onStart: Driver['onStart']
  onExit: Driver['onExit']
  onError: Driver['onError']

  readonly #home: CgroupHome
  readonly #launchers: Launchers
  readonly #forks: ForkCounter | undefined
  readonly #contexts = new Map<number, Context>()
  readonly #loads: LoadSampler
  readonly #deaths: PastDeaths
  /** What this host lacks, by "kind.name". */
  readonly #missing: ReadonlyMap<string, string>
  readonly #closing = new AbortController()
  /** Contexts with a PID 1 that an earlier daemon has started, and whose shim is still to be reached. */
  readonly #unreached = new Map<Context, Attributes>()
  #sorted: number[] | undefined
  #revision = 0

  private constructor(
    home: CgroupHome,
    launchers: Launchers,
    forks: ForkCounter | CallError,
    missingLxcfs: readonly [string, string][]
  ) {
    setMaxListeners(0, this.#closing.signal) // one for each context that is watched
    this.#home = home
    this.#launchers = launchers
    if (forks instanceof ForkCounter) this.#forks = forks
    this.#deaths = new PastDeaths(deathsIn(home.contexts))
    this.#loads = new LoadSampler({ path: home.contexts, loadAverage: new LoadAverage() }, () =>
      [...this.#contexts.values()].filter(({ populated }) => populated)
    )
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
   * @param warn hears of contexts that cannot be taken over
   * @throws CallError naming the call that this user or kernel refuses
   */
  static async open(
    root: string | undefined,
    log: LogTarget | undefined,
    warn: (error: unknown) => void
  ): Promise<NamespacesDriver> {
    const home = new CgroupHome(root)
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
      for (const xid of home.xids()) await driver.#adopt(xid).catch(warn)
      forks?.retain([...driver.#contexts.values()].flatMap((context) => context.forks ?? []))
      return driver
    } catch (error) {
      launchers?.close()
      forks?.close()
      home.close()
      throw error
    }
  }

  takePastDeaths(): readonly Death[] {
    return this.#deaths.take()
  }

  get onDeath(): Driver['onDeath'] {
    return this.#onDeath
  }

  /** Also hears of contexts that had ended while no daemon ran. */
  set onDeath(listener: Driver['onDeath']) {
    this.#onDeath = listener
    for (const death of this.#unheard.splice(0)) listener?.(...death)
  }

  get onHelper(): Driver['onHelper'] {
    return this.#onHelper
  }

  /** Also hears of what was to be told while no daemon ran. */
  set onHelper(listener: Driver['onHelper']) {
    this.#onHelper = listener
    for (const call of this.#untold.splice(0)) listener?.(call)
  }

  treatment(kind: VocabularyKind, name: string): Treatment {
    return this.#missing.has(`${kind}.${name}`) ? 'unsupported' : treatmentOf(treatments, kind, name)
  }

  missing(kind: VocabularyKind, name: string): string | undefined {
    return this.#missing.get(`${kind}.${name}`)
  }

  vx_create(xid: number, data: CreateData): void {
    rules.checkXid(xid, 'vx_create')
    if (this.#contexts.has(xid)) throw new CallError('EEXIST', 'vx_create', `context ${xid} exists`)
    if (data.root !== undefined) native.checkRoot(data.root)
    const context = new Context(xid, this.#home.path(xid), this.#home.line(xid))
    withErrno('mkdir', context.path, () => {
      mkdirSync(context.path, { mode: 0o755 })
    })
    context.flags = data.flags
    context.forks = this.#forks?.count(context.path, xid, 0)
    if (context.paused) setFrozen(context.path, true)
    context.spaces = spacesFor(data.flags)
    context.lxcfs = lxcfsFiles(data.flags, (flag) => this.treatment('flags', flag) === 'at_create')
    context.bcaps = WORD_MAX
    context.owner = data.owner
    context.root = data.root ?? null
    context.createdAt = new Date().toISOString()
    this.#add(context)
  }

  settle(xid: number): void {
    const context = this.#find(xid, 'settle')
    if (context.gone) return
    context.settle()
    this.#announce(context)
  }

  async vx_migrate(xid: number, data: MigrateData): Promise<Migrated> {
    const context = this.#find(xid, 'vx_migrate')
    rules.requireEnter(context.flags, xid, 'vx_migrate')
    this.#reach(context)
    for (let attempt = 1; ; attempt++) {
      if (context.gone) throw new CallError('EFAULT', 'vx_migrate', `context ${xid} is shutting down`)
      try {
        if (data.flags & SET_INIT) return { pid: await this.#startInit(context, data) }
        return await this.#startProcess(context, data)
      } catch (error) {
        if (!(error instanceof LostReaper)) throw error
        if (attempt === MAX_ATTEMPTS) throw error.cause
        await Promise.race([context.shim?.ended, sleep(LOST_REAPER_TIMEOUT_MS)])
      }
    }
  }

  vx_task_xid(pid: number): number {
    if (pid === 0) return 0
    return this.#home.xidOf(withErrno('open', `/proc/${pid}/cgroup`, () => readCgroup(pid)))
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: this.#find(xid, 'vx_info').initpid }
  }

  async vx_stat(xid: number): Promise<Stat> {
    const context = this.#find(xid, 'vx_stat')
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
    return this.#find(xid, 'vx_bcaps_get').bcaps
  }

  vx_bcaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_bcaps_set')
    context.saveWord('bcaps', rules.replaceBits(context.bcaps, data))
    this.#touch(context)
  }

  vx_ccaps_get(xid: number): bigint {
    return this.#find(xid, 'vx_ccaps_get').ccaps
  }

  vx_ccaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_ccaps_set')
    context.saveWord('ccaps', rules.replaceBits(context.ccaps, data))
    this.#touch(context)
  }

  vx_flags_get(xid: number): FlagsData {
    const { flags } = this.#find(xid, 'vx_flags_get')
    return { flags, mask: rules.changeableFlags(flags) }
  }

  async vx_flags_set(xid: number, data: FlagsData): Promise<void> {
    const context = this.#administrable(xid, 'vx_flags_set')
    const { paused, flags: before } = context
    const flags = rules.changeFlags(before, data)
    if ((flags ^ before) & LIMIT_FLAGS) await this.#limit(context, { flags, limits: context.limits })
    if (context.gone) throw rules.noSuchContext(xid, 'vx_flags_set')
    context.saveWord('flags', rules.changeFlags(context.flags, data))
    this.#touch(context)
    if (context.paused !== paused) await this.#pauseOrGoOn(context)
    await this.#removeWhenDead(context)
  }

  vx_uname_get(xid: number, field: UnameField): string {
    rules.checkField(field, 'vx_uname_get')
    const context = this.#find(xid, 'vx_uname_get')
    if (context.namesMayDiffer && (field === 'nodename' || field === 'domainname')) {
      try {
        return this.#withPid1(context, (pidfd) => native.getUtsNames(pidfd)[field])
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
      if (field === 'nodename')
        this.#withPid1(context, (pidfd) => {
          native.setNodename(pidfd, value)
        })
      if (field === 'domainname')
        this.#withPid1(context, (pidfd) => {
          native.setDomainname(pidfd, value)
        })
    }
    context.saveName(field, value)
    this.#touch(context)
  }

  async vx_kill(xid: number, pid: number, signal: number): Promise<void> {
    const context = this.#find(xid, 'vx_kill')
    this.#reach(context)
    rules.checkSignal(signal, 'vx_kill')
    if (pid !== 1) rules.requireAdmin(context.flags, xid, 'vx_kill')
    await context.starting // before it has started there is nobody to signal but our own launcher
    const init = context.initpid
    const reaper = context.pid1?.role === 'reaper' ? context.pid1.pid : 0
    const { path, line } = context
    const toAll = (sent: number, except: number) => native.signalMembers(path, line, sent, init, except)
    const toOne = (target: number, sent: number) => native.signalMember(path, line, target, sent, init)
    const nobody = () => new CallError('ESRCH', 'vx_kill', `context ${xid} has no process for pid ${pid}`)

    if (pid > 0) {
      const target = pid === 1 ? init : pid
      if (target === 0 || target === reaper) throw nobody()
      const administrable = rules.isAdministrable(context.flags)
      toOne(target, pid !== 1 || administrable ? signal : rules.signalToInit(context.flags, await toAll(0, 0), signal))
      return
    }
    // The death of PID 1 ends its whole namespace, and no fork escapes it (pid_namespaces(7)). Not cgroup.kill: once
    // used, Linux 6.18 kills at birth whatever CLONE_INTO_CGROUP puts there later.
    if (pid === 0 && signal === SIGKILL && (init || reaper)) {
      const others = init || (await toAll(0, reaper))
      const { pid1 } = context // that one may have ended meanwhile, and another taken its place
      if (pid1) toOne(pid1.pid, SIGKILL)
      if (!others) throw nobody()
      return
    }
    if ((await toAll(signal, pid === -1 ? init || reaper : reaper)) === 0) throw nobody()
  }

  async vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    const context = this.#find(xid, 'vx_wait')
    this.#reach(context)
    return context.waiters.wait(signal)
  }

  limits_get(xid: number): Limits {
    return this.#find(xid, 'limits_get').limits
  }

  async limits_set(xid: number, changes: Partial<Limits>): Promise<void> {
    const context = this.#administrable(xid, 'limits_set')
    const limits = { ...context.limits, ...changes }
    await this.#limit(context, { flags: context.flags, limits })
    if (context.gone) throw rules.noSuchContext(xid, 'limits_set')
    context.saveLimits(limits)
    this.#touch(context)
  }

  /** The files first: what the kernel refuses is not kept. */
  #limit(context: Context, wanted: Limited): Promise<void> {
    return applyLimits(context.path, wanted, context, this.#home.missing)
  }

  exists(xid: number): boolean {
    return this.#contexts.has(xid)
  }

  incarnation(xid: number): bigint {
    return this.#find(xid, 'incarnation').incarnation
  }

  probe(): void {
    this.#home.probe()
    this.#launchers.probe()
  }

  list(): number[] {
    return (this.#sorted ??= [...this.#contexts.keys()].sort((a, b) => a - b))
  }

  ownerOf(xid: number): number | null {
    return this.#contexts.get(xid)?.owner ?? null
  }

  details(xid: number): ContextDetails {
    const context = this.#find(xid, 'details')
    return {
      owner: context.owner,
      root: context.root,
      created_at: context.createdAt,
      populated: context.populated
    }
  }

  async processes(xid: number): Promise<Process[]> {
    return (await this.#guestProcesses(this.#find(xid, 'processes'), 'processes')).map(({ process }) => process)
  }

  revision(xid: number): number | undefined {
    const context = this.#find(xid, 'revision')
    return context.namesMayDiffer ? undefined : context.revision
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const context of this.#contexts.values()) {
      context.pid1 = undefined
      context.shim?.release()
      for (const join of context.joins) join.release()
    }
    this.#loads.close()
    this.#launchers.close()
    this.#forks?.close()
    this.#home.close()
  }

  #find(xid: number, call: string): Context {
    const context = this.#contexts.get(xid)
    if (!context) throw rules.noSuchContext(xid, call)
    return context
  }

  #administrable(xid: number, call: string): Context {
    const context = this.#find(xid, call)
    rules.requireAdmin(context.flags, xid, call)
    this.#reach(context)
    return context
  }

  #add(context: Context): void {
    context.incarnation =
      context.forks?.key ?? withErrno('stat', context.path, () => statSync(context.path, { bigint: true }).ino)
    this.#contexts.set(context.xid, context)
    this.#sorted = undefined
    this.#touch(context)
  }

  #touch(context: Context): void {
    context.revision = ++this.#revision
  }

  async #guestProcesses(context: Context, call: string) {
    await context.starting
    const reaper = context.pid1?.role === 'reaper' ? context.pid1.pid : 0
    const processes = (await guestProcesses(context.path)).filter(({ process }) => process.pid !== reaper)
    if (context.gone) throw rules.noSuchContext(context.xid, call)
    return processes
  }

  #withPid1<T>(context: Context, work: (pidfd: number) => T): T {
    if (!context.pid1) throw new CallError('ESRCH', 'pidfd_open', `context ${context.xid} has no process`)
    return work(context.openPid1(context.pid1))
  }

  #spec(context: Context, mode: LauncherSpec['mode'], data?: MigrateData): LauncherSpec {
    return {
      mode,
      bcaps: context.bcaps,
      spaces: context.spaces,
      lxcfs: context.lxcfs,
      ignoreNice: (context.flags & IGNEG_NICE) !== 0n,
      root: context.root,
      nodename: context.names.get('nodename'),
      domainname: context.names.get('domainname'),
      forkSlot: context.forks?.slot,
      log: context,
      process: data?.process,
      capture: data?.capture,
      timeoutMs: data?.timeoutMs,
      startDelayMs: data?.startDelayMs
    }
  }

  /** Guest code never runs with STATE_SETUP set, so the bits go first; they come back when nothing was run. */
  async #leavingSetup<T>(context: Context, cleared: bigint, work: () => Promise<T>): Promise<T> {
    const before = context.flags & cleared
    if (before) context.saveWord('flags', context.flags & ~cleared)
    try {
      return await work()
    } catch (error) {
      const somebodyRuns = context.initpid !== 0 || context.joins.size > 0
      const restored = somebodyRuns ? before & ~STATE_SETUP : before
      if (restored && !context.gone) context.saveWord('flags', context.flags | restored)
      throw error
    } finally {
      this.#touch(context)
    }
  }

  /** One PID 1 at a time is on its way; whoever needs one waits for it. */
  async #whileStarting<T>(context: Context, work: () => Promise<T>): Promise<T> {
    const working = work()
    context.starting = working.catch(() => undefined)
    try {
      return await working
    } finally {
      context.starting = undefined
    }
  }

  async #startInit(context: Context, data: MigrateData): Promise<number> {
    while (context.starting) await context.starting
    const { pid1, shim } = context
    if (pid1?.role === 'init')
      throw new CallError('EPERM', 'vx_migrate', `context ${context.xid} has an init, pid ${pid1.pid}`)
    if (pid1 && !shim)
      throw new CallError(
        'EPERM',
        'vx_migrate',
        `context ${context.xid} has processes that an earlier daemon started, and ${context.unreachable}; end them first`
      )
    const spec = this.#spec(context, 'init', data)
    return this.#leavingSetup(context, STATE_SETUP | STATE_INIT, () =>
      this.#whileStarting(context, () =>
        shim && pid1
          ? this.#replaceReaper(context, shim, spec)
          : this.#unpaused(context, () => this.#startPid1(context, spec, 'init'))
      )
    )
  }

  /** As SCHED_PAUSE says. Nothing starts from now on, and what was about to is let through: frozen it would be lost. */
  async #pauseOrGoOn(context: Context): Promise<void> {
    const { paused } = context
    if (paused) while (context.starts.size > 0) await Promise.all(context.starts)
    if (context.gone || context.paused !== paused) return // a later call does it
    setFrozen(context.path, paused)
    for (let waited = 0; context.paused && !isFrozen(context.path) && waited < FREEZE_TIMEOUT_MS; waited += 5)
      await sleep(5)
  }

  /** Starts a process, which a pause waits for. */
  #unpaused<T>(context: Context, work: () => Promise<T>): Promise<T> {
    rules.requireUnpaused(context.flags, context.xid, 'vx_migrate')
    const working = work()
    const settled = working.then(
      () => undefined,
      () => undefined
    )
    context.starts.add(settled)
    void settled.then(() => context.starts.delete(settled))
    return working
  }

  async #replaceReaper(context: Context, shim: Launch, spec: LauncherSpec): Promise<number> {
    let pid
    try {
      pid = await this.#unpaused(context, () => shim.becomeInit(spec))
    } catch (error) {
      throw isEnded(error) ? new LostReaper(error) : error
    }
    this.#hasPid1(context, { pid, role: 'init' })
    this.#started(context, pid)
    return pid
  }

  async #ensurePid1(context: Context): Promise<Pid1> {
    while (!context.pid1 && !context.gone) {
      if (context.starting) await context.starting
      else {
        const spec = this.#spec(context, 'reaper')
        await this.#whileStarting(context, () =>
          this.#unpaused(context, () => this.#startPid1(context, spec, 'reaper'))
        )
      }
    }
    if (!context.pid1) throw new CallError('EFAULT', 'vx_migrate', `context ${context.xid} is shutting down`)
    return context.pid1
  }

  /** Clears away what the last run left, so that two PID 1s never share a context. */
  async #forgetLastRun(context: Context): Promise<void> {
    if (!context.hasRun) return
    const deadline = Date.now() + LOST_REAPER_TIMEOUT_MS
    while (isPopulated(context.path)) {
      if (Date.now() > deadline)
        throw new CallError('EAGAIN', 'vx_migrate', `processes of context ${context.xid}'s last run are still ending`)
      await sleep(5)
    }
    context.forgetRun()
  }

  async #startPid1(context: Context, spec: LauncherSpec, role: Pid1['role']): Promise<number> {
    await this.#forgetLastRun(context)
    this.#noteGranted(context)
    const shim = this.#launchers.start(spec, context)
    context.hasRun = true
    const ended = this.#followShim(context, shim)
    let pid
    try {
      pid = await shim.started
    } catch (error) {
      await ended // nothing of the attempt is left when it is answered
      throw error
    }
    this.#hasPid1(context, { pid, role })
    if (role === 'init') this.#started(context, pid)
    return pid
  }

  /** Resolves when the shim has ended, and what follows from that is done. */
  #followShim(context: Context, shim: Launch, isRejoined = false): Promise<void> {
    context.shim = shim
    const ended = shim.ended.then(async (exit) => {
      context.shim = undefined
      this.#lostPid1(context)
      const isEmpty = exit !== undefined || !isPopulated(context.path)
      if (exit) context.endedBy(exit)
      // Somebody killed the shim, and not what it was the parent of.
      else if (!isEmpty) this.#followOrphans(context)
      // It has told the former daemon, or nobody; and launchers that this one knows nothing of have not told it either.
      else if (isRejoined) context.readExit()
      if (isEmpty) this.#exited(context)
      if (context.rebootCmd) this.#tellReboot(context)
      await this.#changed(context)
    })
    ended.catch(this.#reportLost)
    return ended
  }

  async #startProcess(context: Context, data: MigrateData): Promise<Migrated> {
    const pid1 = await this.#ensurePid1(context)
    const { join, pid } = await this.#leavingSetup(context, STATE_SETUP, () =>
      this.#unpaused(context, () => this.#join(context, pid1, data))
    )
    if (!data.capture) return { pid }
    const exit = await join.ended
    if (!exit) throw new CallError('EIO', 'waitpid', 'the launcher was killed before the process ended')
    return { pid, captured: { ...exit, stdout: join.stdout.toString(), stderr: join.stderr.toString() } }
  }

  /** @throws LostReaper when the reaper has ended with its last process just now */
  async #join(context: Context, pid1: Pid1, data: MigrateData): Promise<{ join: Launch; pid: number }> {
    const spec = { ...this.#spec(context, 'exec', data), pokeReaper: pid1.role === 'reaper' }
    this.#noteGranted(context)
    try {
      const join = this.#withPid1(context, (pidfd) => this.#launchers.start(spec, context, pidfd))
      context.joins.add(join)
      const ended = join.ended.then(async (exit) => {
        context.joins.delete(join)
        if (exit) context.taskEndedBy(exit)
        await this.#changed(context)
      })
      ended.catch(this.#reportLost)
      try {
        const pid = await join.started
        this.#started(context, pid)
        return { join, pid }
      } catch (error) {
        await ended
        throw error
      }
    } catch (error) {
      throw pid1.role === 'reaper' && isEnded(error) ? new LostReaper(error) : error
    }
  }

  #hasPid1(context: Context, pid1: Pid1): void {
    context.pid1 = pid1
    this.#announce(context)
    if (pid1.role === 'init') context.hadInit = true
  }

  #started(context: Context, pid: number): void {
    context.hasGuest = true
    this.onStart?.(context.xid, pid, pid === context.initpid)
  }

  /** PID 1 has ended, and with it every process. */
  #exited(context: Context): void {
    if (!context.hasGuest) return
    context.hasGuest = false
    this.onExit?.(context.xid, resultOf(context), context.owner)
  }

  /** Its creation is done, or its first process runs. */
  #announce(context: Context): void {
    if (context.announced) return
    context.announced = true
    this.#tellHelper(context, 'startup')
  }

  #tellReboot(context: Context): void {
    this.#tellHelper(context, rebootName(context.rebootCmd)?.toLowerCase() ?? '')
  }

  /** As the kernel runs kernel.vshelper. Who called reboot(2) is not known. */
  #tellHelper({ flags, xid }: Context, action: string): void {
    if (!(flags & SC_HELPER)) return
    const call: HelperCall = { xid, action, time: new Date().toISOString(), uid: null, pid: null }
    if (this.#onHelper) this.#onHelper(call)
    else this.#untold.push(call)
  }

  #lostPid1(context: Context): void {
    context.pid1 = undefined
    context.namesMayDiffer = false
    this.#launchers.forget(context)
  }

  #noteGranted(context: Context): void {
    if (context.bcaps & SYS_ADMIN) context.noteOwnNames()
  }

  /** Nobody waits for this work, so its failure is told to whoever runs the driver. */
  readonly #reportLost = (error: unknown) => {
    this.onError?.(error)
  }

  /** A process has ended, or may have. */
  async #changed(context: Context): Promise<void> {
    this.#touch(context)
    await this.#removeWhenDead(context)
  }

  /** A context lives while a process is in it, or while PERSISTENT is set. */
  async #removeWhenDead(context: Context): Promise<void> {
    if (context.gone || context.persistent || context.alive) return
    context.gone = true
    const result = resultOf(context)
    this.#noteDeath(context, result)
    try {
      await this.#removeDirectory(context.path)
    } finally {
      // Even when the directory cannot be removed nobody waits for ever; the next start clears it away.
      this.#contexts.delete(context.xid)
      this.#sorted = undefined
      if (context.forks) this.#forks?.forget(context.forks)
      if (this.#onDeath) this.#onDeath(context.xid, result, context.owner, context.incarnation)
      else this.#unheard.push([context.xid, result, context.owner, context.incarnation])
      if (context.announced) this.#tellHelper(context, 'shutdown')
      context.waiters.finish(result)
    }
  }

  #noteDeath({ xid, owner, incarnation, announced }: Context, result: WaitResult): void {
    if (!announced) return // its creation failed: it has never been
    try {
      this.#deaths.note({ xid, result, owner, incarnation })
    } catch (error) {
      this.#reportLost(error) // who waits now hears all the same
    }
  }

  /** The last processes may still be on their way out, or may be strangers that somebody put there. */
  async #removeDirectory(path: string): Promise<void> {
    const deadline = Date.now() + REMOVE_TIMEOUT_MS
    for (let delay = 1; ; delay = Math.min(delay * 2, 100)) {
      try {
        withErrno('rmdir', path, () => {
          removeTree(path)
        })
        return
      } catch (error) {
        if (!(error instanceof CallError && error.code === 'EBUSY') || Date.now() > deadline) throw error
      }
      if (isPopulated(path)) killAll(path)
      await sleep(delay)
    }
  }

  /** Takes over a directory that an earlier daemon left. */
  async #adopt(xid: number): Promise<void> {
    const context = new Context(xid, this.#home.path(xid), this.#home.line(xid))
    const stored = readAttributes(context.path)
    if (xid < rules.XID_MIN || xid > rules.XID_MAX || !context.load(stored)) {
      await this.#removeDirectory(context.path)
      return
    }
    setFrozen(context.path, context.paused) // it ended perhaps between the flag and this
    if (context.limits !== noLimits) await applyLimits(context.path, context, undefined, this.#home.missing)
    context.readPid1(stored)
    const isIdle = !context.pid1 && !isPopulated(context.path) && !native.hasLauncher(context.path)
    context.forks = this.#knownForks(context, isIdle)
    this.#add(context)
    if (!isIdle) this.#rejoin(context, stored)
    await this.#removeWhenDead(context)
  }

  /** What was not counted from the start on is not told. */
  #knownForks(context: Context, isIdle: boolean): Counted | undefined {
    const counted = this.#forks?.find(context.path, context.xid)
    if (counted || !isIdle) return counted
    const kept = readAttribute(context.path, 'forks')
    if (!kept && !(context.flags & STATE_SETUP)) return undefined
    return this.#forks?.count(context.path, context.xid, Number(kept ?? 0))
  }

  /** Finds what an earlier daemon has started, or was about to, when it ended. */
  #rejoin(context: Context, stored: Attributes): void {
    context.orphans = true // until it is known
    context.hasGuest = true
    if (context.pid1) {
      this.#unreached.set(context, stored)
      return
    }
    const found = this.#findShim(context, stored).finally(() => {
      if (context.starting === found) context.starting = undefined
    })
    context.starting = found
  }

  /** To reach a shim takes much longer than to know whose it is. */
  catchUp(): void {
    void this.#reachAll()
  }

  async #reachAll(): Promise<void> {
    for (const context of this.#unreached.keys()) {
      await sleep(REACH_PACE_MS)
      if (this.#closing.signal.aborted) return
      this.#reach(context)
    }
  }

  /** Reaches the context's shim, or finds that it cannot, if that is still to be done. */
  #reach(context: Context): void {
    const stored = this.#unreached.get(context)
    if (!stored) return
    this.#unreached.delete(context)
    if (!context.gone) void this.#findShim(context, stored)
  }

  /** Never rejects. */
  async #findShim(context: Context, stored: Attributes): Promise<void> {
    await this.#lookForShim(context, stored).catch(this.#reportLost)
  }

  async #lookForShim(context: Context, stored: Attributes): Promise<void> {
    const deadline = Date.now() + ORDER_TIMEOUT_MS
    for (let attributes = stored; ;) {
      const shim = reachShim(context, attributes)
      if (shim) {
        await this.#rejoinShim(context, shim)
        return
      }
      // Its order may be on its way to it.
      if (context.pid1 || !native.hasLauncher(context.path) || Date.now() > deadline) break
      await sleep(20)
      if (this.#closing.signal.aborted) return
      attributes = readAttributes(context.path)
      context.readPid1(attributes)
    }
    this.#followOrphans(context)
  }

  async #rejoinShim(context: Context, shim: Launch): Promise<void> {
    context.orphans = false
    void this.#followShim(context, shim, true)
    const pid1 = await shim.admitted
    if (!pid1 || context.shim !== shim) return
    this.#hasPid1(context, pid1)
    this.#touch(context)
  }

  /**
   * Follows processes whose shim does not talk to this daemon. The kernel still says when the last one has ended:
   * kernfs tells pollers and inotify when cgroup.events changes (cgroup-v2.rst, "[Un]populated Notification").
   */
  #followOrphans(context: Context): void {
    context.readPid1()
    context.orphans = true
    context.hasGuest = true
    const check = () => {
      if (!context.orphans || isPopulated(context.path)) return
      context.orphans = false
      stop()
      const ended = this.#orphansEnded(context)
        .catch(this.#reportLost)
        .finally(() => {
          if (context.starting === ended) context.starting = undefined
        })
      context.starting = ended // a next PID 1 waits for it
    }
    const stop = this.#watchEvents(`${context.path}/cgroup.events`, check)
    check()
  }

  async #orphansEnded(context: Context): Promise<void> {
    // PID 1 ends before its shim has written down how, and others before their launchers.
    for (let waited = 0; native.hasLauncher(context.path) && waited < LAUNCHER_TIMEOUT_MS; waited += 5) await sleep(5)
    if (context.gone) return // a request has removed it meanwhile
    context.readExit()
    this.#lostPid1(context)
    this.#exited(context)
    if (context.rebootCmd) this.#tellReboot(context)
    await this.#changed(context)
  }

  #watchEvents(path: string, changed: () => void): () => void {
    const stop = watchPath(path, POLL_MS, changed)
    this.#closing.signal.addEventListener('abort', stop)
    return () => {
      this.#closing.signal.removeEventListener('abort', stop)
      stop()
    }
  }
}

const resultOf = ({ rebootCmd, lastEnd: { status, oomKilled } }: Context): WaitResult => ({
  reboot_cmd: rebootCmd,
  exit_code: status,
  oom_killed: oomKilled
})

/** The reaper of a context has ended before the process that needed it was started; another one can be made. */
class LostReaper extends Error {
  constructor(override readonly cause: unknown) {
    super('the reaper has ended')
  }
}

/** What the calls on a PID namespace answer when its PID 1 is gone or going; ENOMEM is clone(2)'s way to say it, EPIPE its shim's. */
function isEnded(error: unknown): boolean {
  return error instanceof CallError && ['ESRCH', 'ENOMEM', 'EPIPE'].includes(error.code)
}

const kernel = { sysname: type(), release: release(), version: version(), machine: machine() }

/** Names of the host's own, for fields that a context has no value of. The host may change the last two. */
const hostNames: Record<UnameField, () => string> = {
  context: () => '',
  sysname: () => kernel.sysname,
  release: () => kernel.release,
  version: () => kernel.version,
  machine: () => kernel.machine,
  nodename: hostname,
  domainname: hostDomainname
}

let domainname = { value: '', readAt: -Infinity }

/** Read at most once in a second: Node has no call for it, and a list of contexts asks for each of them. */
function hostDomainname(): string {
  const now = performance.now()
  if (now - domainname.readAt > 1000)
    domainname = { value: readFileSync('/proc/sys/kernel/domainname', 'utf8').trimEnd(), readAt: now }
  return domainname.value
}

function readCgroup(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new CallError('ESRCH', 'vx_task_xid', `there is no process ${pid}`)
  }
}

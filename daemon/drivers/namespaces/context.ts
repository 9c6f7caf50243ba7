import { closeSync } from 'node:fs'
import { PERSISTENT, SCHED_PAUSE } from '../../vocabulary/flags.js'
import { signalToRebootCmd } from '../../vocabulary/reboot.js'
import { SIGKILL } from '../../vocabulary/signals.js'
import { noLimits, type Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
import type { WaitResult } from '../driver.js'
import { CallError } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import { parseEnd, parsePid1, type End, type Pid1 } from '../launcher/report.js'
import { native } from '../native.js'
import { Waiters } from '../waiters.js'
import type { Counted } from './forks.js'
import { LoadAverage } from './load.js'
import { CLONE_NEWTIME } from './spaces.js'
import { readAttribute, readAttributes, wordOf, writeAttribute, writeWord, type Attributes } from './attributes.js'

const storedNames: UnameField[] = ['context', 'sysname', 'nodename', 'release', 'version', 'machine', 'domainname']

/** What the daemon knows of one context: its attributes, mirrored, and what is going on. */
export class Context {
  flags = 0n
  bcaps = 0n
  ccaps = 0n
  /** CLONE_* of spaces.ts. */
  spaces = 0n
  limits = noLimits
  /** Uid; null of one that a daemon before owners made. */
  owner: number | null = null
  /** Of lxcfs.ts. */
  lxcfs: readonly string[] = []
  root: string | null = null
  createdAt = ''
  readonly names = new Map<UnameField, string>()

  /** Its creation is done. Before that nothing is written, for a crash would undo it all anyway. */
  settled = false
  #pid1: Pid1 | undefined
  /** Kept from its first use until PID 1 is another one. */
  #pid1Fd: number | undefined
  /** The launcher that is PID 1's parent; undefined for one that cannot be reached. */
  shim: Launch | undefined
  /** Why it cannot. */
  unreachable = 'its shim was killed'
  readonly joins = new Set<Launch>()
  /** A PID 1 on its way, or the last one's end being looked at; never rejects. */
  starting: Promise<unknown> | undefined
  /** Processes of ours on their way to exec, none of which rejects. */
  readonly starts = new Set<Promise<unknown>>()
  /** Some process got SYS_ADMIN, so the guest may have changed its UTS names itself. */
  namesMayDiffer = false
  /** Of init or of the last task. */
  lastEnd: End = { status: 0, oomKilled: false }
  /** How its last run ended. */
  lastExit: WaitResult | null = null
  /** LINUX_REBOOT_CMD_* word that PID 1 ended by, 0 for none. */
  rebootCmd = 0
  /** An init was there in this run: its status is the context's, not that of a later task. */
  hadInit = false
  /** A process was started, and onExit has not been called since. */
  hasGuest = false
  /** Processes were here before, so attributes may tell of them. */
  hasRun = false
  /** Processes are here whose shim does not talk to this daemon. */
  orphans = false
  /** Its start was told to the helper, or was long ago. */
  announced = false
  /** On its way out; nothing can be started any more. */
  gone = false
  readonly waiters = new Waiters()
  readonly loadAverage = new LoadAverage()
  /** Undefined when not all forks since the start were counted. */
  forks: Counted | undefined
  revision = 0
  /** Of its directory: the kernel numbers the nodes of cgroupfs upwards (kernfs ids, since Linux 5.5). */
  incarnation = 0n

  constructor(
    readonly xid: number,
    readonly path: string,
    readonly line: string
  ) {}

  get pid1(): Pid1 | undefined {
    return this.#pid1
  }

  set pid1(pid1: Pid1 | undefined) {
    if (this.#pid1Fd !== undefined && pid1?.pid !== this.#pid1?.pid) {
      closeSync(this.#pid1Fd)
      this.#pid1Fd = undefined
    }
    this.#pid1 = pid1
  }

  /** A pidfd, which is not the caller's to close. @throws CallError ESRCH when there is none, or it has ended */
  openPid1(): number {
    if (!this.#pid1) throw new CallError('ESRCH', 'pidfd_open', `context ${this.xid} has no process`)
    return (this.#pid1Fd ??= native.openMember(this.path, this.line, this.#pid1.pid))
  }

  get persistent(): boolean {
    return (this.flags & PERSISTENT) !== 0n
  }

  get populated(): boolean {
    return this.pid1 !== undefined || this.orphans
  }

  get paused(): boolean {
    return (this.flags & SCHED_PAUSE) !== 0n
  }

  get initpid(): number {
    return this.pid1?.role === 'init' ? this.pid1.pid : 0
  }

  /** Pid of what stands in for an init, or 0. */
  get reaper(): number {
    return this.pid1?.role === 'reaper' ? this.pid1.pid : 0
  }

  get alive(): boolean {
    return this.pid1 !== undefined || this.shim !== undefined || this.joins.size > 0 || this.orphans
  }

  /** Host uptime in nanoseconds at which the guest's own began; 0 where it has none of its own, or does not run. */
  get offset(): bigint {
    if (!(this.spaces & CLONE_NEWTIME) || !this.populated) return 0n
    return BigInt(readAttribute(this.path, 'offset') ?? 0)
  }

  /** Writes all of a new context, the mark that it is whole at the end: a directory without it is half-made. */
  settle(): void {
    this.settled = true
    for (const name of ['flags', 'bcaps', 'ccaps', 'spaces'] as const)
      if (this[name] !== 0n) writeWord(this.path, name, this[name]) // without one it is 0
    for (const [field, value] of this.names) writeAttribute(this.path, field, value)
    if (this.owner !== null) writeAttribute(this.path, 'owner', String(this.owner))
    if (this.root !== null) writeAttribute(this.path, 'root', this.root)
    if (this.lxcfs.length > 0) writeAttribute(this.path, 'lxcfs', this.lxcfs.join(' '))
    if (this.limits !== noLimits) writeLimits(this.path, this.limits)
    writeAttribute(this.path, 'created_at', this.createdAt)
  }

  saveWord(name: 'flags' | 'bcaps' | 'ccaps', word: bigint): void {
    if (this.settled) writeWord(this.path, name, word)
    this[name] = word
  }

  saveName(field: UnameField, value: string): void {
    if (this.settled) writeAttribute(this.path, field, value)
    this.names.set(field, value)
  }

  saveLimits(limits: Limits): void {
    if (this.settled) writeLimits(this.path, limits)
    this.limits = limits
  }

  /** Takes what an earlier daemon wrote. False when it did not finish. */
  load(stored: Attributes): boolean {
    if (stored.created_at === undefined) return false
    this.createdAt = stored.created_at
    this.flags = wordOf(stored, 'flags')
    this.bcaps = wordOf(stored, 'bcaps')
    this.ccaps = wordOf(stored, 'ccaps')
    this.spaces = wordOf(stored, 'spaces')
    this.owner = stored.owner === undefined ? null : Number(stored.owner)
    this.root = stored.root ?? null
    this.lxcfs = stored.lxcfs?.split(' ') ?? []
    if (stored.limits !== undefined) this.limits = { ...noLimits, ...(JSON.parse(stored.limits) as Partial<Limits>) }
    for (const field of storedNames) {
      const value = stored[field]
      if (value !== undefined) this.names.set(field, value)
    }
    this.settled = true
    this.announced = true
    this.hasRun = true
    this.readExit(stored)
    this.#readEnded(stored)
    return true
  }

  /** True when it is known how the init, or without one the last task, has ended. */
  readExit(stored = readAttributes(this.path)): boolean {
    // Cleared ones are empty, not missing.
    const { exit: ofPid1, last_exit: ofLast } = stored
    const end = ([status = '', oom]: string[]) => parseEnd(status, oom)
    if (ofPid1) this.endedBy(end(ofPid1.split(' ')))
    else if (ofLast) this.lastEnd = end(ofLast.split(' '))
    return Boolean(ofPid1) || Boolean(ofLast)
  }

  /** Nothing runs any more. */
  runEnded(): void {
    const { status, oomKilled } = this.lastEnd
    this.lastExit = { reboot_cmd: this.rebootCmd, exit_code: status, oom_killed: oomKilled }
    // Otherwise it is gone in a moment.
    if (this.persistent) writeAttribute(this.path, 'ended', `${status} ${oomOf(oomKilled)} ${this.rebootCmd}`)
  }

  /** What an earlier daemon kept of it. */
  #readEnded({ ended }: Attributes): void {
    if (!ended) return
    const [status = '', oom, reboot] = ended.split(' ')
    const end = parseEnd(status, oom)
    this.lastExit = { reboot_cmd: Number(reboot), exit_code: end.status, oom_killed: end.oomKilled }
  }

  /** PID 1 has ended like this: the context's own end. */
  endedBy(end: End): void {
    this.lastEnd = { ...end, status: this.#askedOr(end) }
    // PID 1 of a namespace dies of these signals by reboot(2) only: native/launcher/namespaces/shim.cc.
    this.rebootCmd = signalToRebootCmd.get(end.status & 0x7f) ?? 0
  }

  /** SIGKILL may have stood in for a signal that init would have ended by, but for being PID 1 (native/namespaces/signal.cc). */
  #askedOr({ status, oomKilled }: End): number {
    if (status !== SIGKILL || oomKilled) return status
    return Number(readAttribute(this.path, 'asked') ?? 0) || SIGKILL
  }

  /** Another process has ended. What counts is how the init ended, in a run that has one, or that all were rebooted. */
  taskEndedBy(end: End): void {
    if (!this.hadInit && !this.rebootCmd) this.lastEnd = end
  }

  /** Before a new PID 1: what the attributes tell of the last one must not be taken for its own. */
  forgetRun(): void {
    for (const name of ['exit', 'last_exit', 'pid1', 'own_names', 'offset', 'forks', 'asked'] as const)
      writeAttribute(this.path, name, '')
    this.hadInit = false
    this.rebootCmd = 0
  }

  /** Remembered before the process is started that gets the power to. */
  noteOwnNames(): void {
    if (this.namesMayDiffer) return
    writeAttribute(this.path, 'own_names', '1')
    this.namesMayDiffer = true
  }

  /** Left undefined when the process that was PID 1 is not in the cgroup any more. */
  readPid1(stored = readAttributes(this.path)): void {
    this.pid1 = undefined
    const told = parsePid1(stored.pid1 ?? '')
    if (!told) return
    try {
      closeSync(native.openMember(this.path, this.line, told.pid))
      this.pid1 = told
      this.hadInit = told.role === 'init'
      this.namesMayDiffer = stored.own_names === '1'
    } catch (error) {
      if (!(error instanceof CallError && error.code === 'ESRCH')) throw error
    }
  }
}

const oomOf = (killed: boolean | null) => (killed === null ? '-' : Number(killed))

function writeLimits(path: string, limits: Limits): void {
  const given = Object.entries(limits).filter(([, value]) => value !== null)
  writeAttribute(path, 'limits', JSON.stringify(Object.fromEntries(given)))
}

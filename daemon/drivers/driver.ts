/**
 * What every driver does: the 15 calls of libvserver's context API under their own names, plus what the API
 * needs beyond them. Words are 64-bit BigInts. A call that fails throws CallError.
 *
 * Reads of words and names answer at once, because hot GETs call them; the rest may take its time.
 */
import type { RlimitName } from '../vocabulary/rlimits.js'
import type { UnameField } from '../vocabulary/uname.js'
import type { Limits } from '../vocabulary/limits.js'
import type { BcapsAbi } from '../vocabulary/bcaps.js'
import type { Treatment, VocabularyKind } from '../vocabulary/treatment.js'

export type DriverName = 'vserver' | 'namespaces' | 'memory'

/** What a started process is, as libvserver leaves it to the caller of vx_migrate. */
export interface ProcessSpec {
  /** At least one string, none with a NUL. argv[0] without a slash is searched along PATH of `env`. */
  argv: string[]
  /** The whole environment. */
  env: Record<string, string>
  /** Absolute, inside the guest. */
  cwd: string
  /** Undefined: uid and gid 0, no other groups, and nothing is looked up. */
  user?: ProcessUser
  /** Default 022. */
  umask?: number
  rlimits?: ResourceLimit[]
}

/** Whose process it is. What is left out comes from the guest's passwd and group, and so do HOME, USER, LOGNAME and SHELL. */
export interface ProcessUser {
  /** One of the two. */
  name?: string
  uid?: number
  /** At most one of the two. */
  group?: string
  gid?: number
  groups?: number[]
}

export interface ResourceLimit {
  name: RlimitName
  /** UNLIMITED at most. */
  soft: bigint
  hard: bigint
}

export interface CreateData {
  flags: bigint
  /** Uid of whoever asks for the context, kept with it. */
  owner: number
  root?: string
}

export interface MigrateData {
  /** VXM_* word. */
  flags: bigint
  process: ProcessSpec
  /** Collect output and wait for the end; bytes kept of each stream. */
  capture?: { limit: number; stdin?: string }
  /** Milliseconds after which the process and its group get SIGKILL. */
  timeoutMs?: number
  /** Milliseconds for which the start may stay untold: who asks waits for the end, and a short life is told of at once. */
  startDelayMs?: number | undefined
}

export interface Captured {
  /** wait(2) status word. */
  status: number
  stdout: Buffer
  stderr: Buffer
  /** To be called when the output is not needed any more, any number of times: it has room that others wait for. */
  release?: () => void
  /** The kernel has killed it for lack of memory; null: nobody knows. */
  oomKilled: boolean | null
  /** A stream went over the limit. */
  truncated: boolean
  timedOut: boolean
}

export interface Migrated {
  /** Host pid. */
  pid: number
  captured?: Captured
}

export interface FlagsData {
  flags: bigint
  mask: bigint
}

export interface Stat {
  /** Uses of the context: its own, one for each waiter. */
  usecnt: number
  /** Tasks, and one more reference while PERSISTENT is set, as the kernel counts. */
  tasks: number
  nr_threads: number
  nr_running: number
  nr_unintr: number
  nr_onhold: number
  /** Null where the driver cannot count (vocabulary kind `stat`). */
  nr_forks: number | null
  load: [number, number, number] | null
  /** Nanoseconds. */
  offset: bigint
  uptime: bigint
}

export interface WaitResult {
  /** LINUX_REBOOT_CMD_* word, 0 for none. */
  reboot_cmd: number
  /** wait(2) status word of init, or of the last task. */
  exit_code: number
  /** That task was killed by the kernel for lack of memory; null: nobody knows. */
  oom_killed: boolean | null
}

/** A context's end, as a later daemon hears of it. */
export interface Death {
  xid: number
  result: WaitResult
  owner: number | null
  /** Driver.incarnation */
  incarnation: bigint
  /** When, in milliseconds since the epoch. */
  at: number
}

export interface Process {
  /** Host pid; in the guest's own numbering `nspid`. */
  pid: number
  ppid: number
  nspid: number
  comm: string
  /** One letter of proc(5). */
  state: string
  /** ISO 8601. */
  started_at: string
}

/** What a driver keeps of a context beside the words and names. */
export interface ContextDetails {
  /** Uid that has made the context; null for one that was not made here. */
  owner: number | null
  root: string | null
  /** ISO 8601. */
  created_at: string
  /** At least one guest process is alive. */
  populated: boolean
  /** How its last run ended; null when none has. */
  last_exit: WaitResult | null
}

/** How a process ended that was started by vx_migrate. */
export interface ProcessEnd {
  pid: number
  /** wait(2) status word. */
  status: number
  /** Null: nobody knows. */
  oomKilled: boolean | null
  isInit: boolean
  captured: boolean
}

/** A guest's request to the host: reboot(2), or with SC_HELPER a change of its state. */
export interface HelperCall {
  xid: number
  /** Such as restart, halt, poweroff; startup, shutdown. */
  action: string
  /** ISO 8601. */
  time: string
  /** Who asked, where the kernel says it. */
  uid: number | null
  pid: number | null
}

type Answer<T> = T | Promise<T>

export interface Driver {
  readonly name: DriverName
  /** Which numbers CAP_* names have. */
  readonly bcapsAbi: BcapsAbi
  /** One line for people: kernel, mount, version. */
  readonly about: string
  /** What does not work on this host, and how it could. */
  readonly warnings?: readonly string[]
  treatment(kind: VocabularyKind, name: string): Treatment
  /** Why the name is unsupported, where that is the host's and not the driver's. */
  missing?(kind: VocabularyKind, name: string): string | undefined

  /** EINVAL: xid out of 2..65535. EEXIST. ENOTDIR, ENOENT, ELOOP: the root. */
  vx_create(xid: number, data: CreateData): Answer<void>
  /**
   * The context is whole: everything that belongs to its creation is done. Without this, what a crash of the daemon
   * leaves is cleared away at the next start.
   */
  settle(xid: number): void
  /**
   * ESRCH; EACCES: private or not administrable; EFAULT: shutting down; ENOENT of getpwnam and getgrnam: the guest has no
   * such user or group; any errno of the exec.
   */
  vx_migrate(xid: number, data: MigrateData): Promise<Migrated>
  /** ESRCH. pid 0 is the caller. */
  vx_task_xid(pid: number): number
  vx_info(xid: number): { xid: number; initpid: number }
  vx_stat(xid: number): Answer<Stat>
  vx_bcaps_get(xid: number): bigint
  vx_bcaps_set(xid: number, data: FlagsData): Answer<void>
  vx_ccaps_get(xid: number): bigint
  vx_ccaps_set(xid: number, data: FlagsData): Answer<void>
  /** The mask has the bits that may still be changed. */
  vx_flags_get(xid: number): FlagsData
  vx_flags_set(xid: number, data: FlagsData): Answer<void>
  /** EINVAL where the kernel has no such field. */
  vx_uname_get(xid: number, field: UnameField): string
  vx_uname_set(xid: number, field: UnameField, value: string): Answer<void>
  /** pid 0: every process; -1: every one but init; 1: init; else that host pid. ESRCH when there is none. */
  vx_kill(xid: number, pid: number, signal: number): Answer<void>
  /** Resolves when the context is dead and gone. Rejects with CallError EINTR when `signal` aborts. */
  vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult>

  limits_get(xid: number): Limits
  /** ENOSYS where there is no place to keep them. */
  limits_set(xid: number, changes: Partial<Limits>): Answer<void>

  /** @throws CallError why the driver cannot do its work now */
  probe(): void
  exists(xid: number): boolean
  /**
   * Tells the context from all others that have or had this xid since the host started; a later one has a greater number.
   * ESRCH.
   */
  incarnation(xid: number): bigint
  /** xids in ascending order. */
  list(): number[]
  /** The uid that has made a context, as details() says, but without a native call; null: unknown. */
  ownerOf(xid: number): number | null
  /** @param flags the context's, where they are known already */
  details(xid: number, flags?: bigint): ContextDetails
  processes(xid: number): Promise<Process[]>
  /** Grows with every change of the context, so that a rendering can be kept; undefined: never keep one. */
  revision(xid: number): number | undefined
  /** Called when a process has been started; pid of the host. */
  onStart?: ((xid: number, pid: number, isInit: boolean) => void) | undefined
  /** Called when a process that this daemon has started has ended. */
  onProcessEnd?: ((xid: number, end: ProcessEnd, owner: number | null) => void) | undefined
  /** Called when the kernel has killed processes of a context for lack of memory; so many since its creation. */
  onOom?: ((xid: number, kills: number, owner: number | null) => void) | undefined
  /**
   * Called when the last process of a context has ended, before onDeath where that ends the context. A Linux-VServer
   * kernel tells of it only where it does.
   */
  onExit?: ((xid: number, result: WaitResult, owner: number | null) => void) | undefined
  /** Called once for every context that has died, before its waiters hear of it. */
  onDeath: ((xid: number, result: WaitResult, owner: number | null, incarnation: bigint) => void) | undefined
  /** To be called once: deaths that earlier daemons have heard of, the oldest first; xids may have new contexts since. */
  takePastDeaths?(): readonly Death[]
  /** Called for what a guest asks of the host. */
  onHelper?: ((call: HelperCall) => void) | undefined
  /** Called for a failure that belongs to no call, such as a directory that cannot be removed. */
  onError: ((error: unknown) => void) | undefined
  /** Begins what a start need not wait for. */
  catchUp?(): void
  /** Releases what the driver holds. Guests go on running. */
  close(): Promise<void>
}

/** What the model knows of contexts and processes. */
import { realpathSync, statSync } from 'node:fs'
import { hostname, machine, release, type, version } from 'node:os'
import { basename } from 'node:path'
import { PERSISTENT, SCHED_PAUSE } from '../../vocabulary/flags.js'
import { noLimits, type Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
import { WORD_MAX } from '../../vocabulary/word.js'
import type { ContextDetails, CreateData, MigrateData, Process, Stat, WaitResult } from '../driver.js'
import { CallError } from '../errors.js'
import { Waiters } from '../waiters.js'

export interface ModelProcess {
  pid: number
  nspid: number
  comm: string
  startedAt: number
  stdout: string
  captured: boolean
  timers: NodeJS.Timeout[]
  /** It has come to its end while it was paused. */
  due?: () => void
  ended: Promise<number>
  end: (status: number) => void
}

export interface ModelContext {
  xid: number
  incarnation: bigint
  flags: bigint
  bcaps: bigint
  ccaps: bigint
  uname: Record<UnameField, string>
  limits: Limits
  owner: number
  root: string | null
  createdAt: number
  processes: Map<number, ModelProcess>
  initpid: number
  forks: number
  lastStatus: number
  lastExit: WaitResult | null
  waiters: Waiters
  revision: number
}

export const newContext = (xid: number, data: CreateData, revision: number): ModelContext => ({
  xid,
  incarnation: process.hrtime.bigint(),
  flags: data.flags,
  bcaps: WORD_MAX,
  ccaps: 0n,
  uname: {
    context: '',
    sysname: type(),
    nodename: hostname(),
    release: release(),
    version: version(),
    machine: machine(),
    domainname: '(none)'
  },
  limits: noLimits,
  owner: data.owner,
  root: data.root ?? null,
  createdAt: Date.now(),
  processes: new Map(),
  initpid: 0,
  forks: 0,
  lastStatus: 0,
  lastExit: null,
  waiters: new Waiters(),
  revision
})

export function newProcess(pid: number, nspid: number, { process: { argv }, capture }: MigrateData): ModelProcess {
  let end: (status: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })
  const comm = basename(argv[0] ?? '').slice(0, 15)
  return {
    pid,
    nspid,
    comm,
    startedAt: Date.now(),
    stdout: '',
    captured: capture !== undefined,
    timers: [],
    ended,
    end
  }
}

export const processOf = ({ pid, nspid, comm, startedAt }: ModelProcess): Process => ({
  pid,
  ppid: 0,
  nspid,
  comm,
  state: 'S',
  started_at: new Date(startedAt).toISOString()
})

export const statOf = (context: ModelContext): Stat => ({
  usecnt: 1 + context.waiters.size,
  tasks: context.processes.size + (context.flags & PERSISTENT ? 1 : 0),
  nr_threads: context.processes.size,
  nr_running: 0,
  nr_unintr: 0,
  nr_onhold: context.flags & SCHED_PAUSE ? context.processes.size : 0,
  nr_forks: context.forks,
  load: null,
  offset: 0n,
  uptime: BigInt(Date.now() - context.createdAt) * 1_000_000n
})

export const detailsOf = (context: ModelContext): ContextDetails => ({
  owner: context.owner,
  root: context.root,
  created_at: new Date(context.createdAt).toISOString(),
  populated: context.processes.size > 0,
  last_exit: context.lastExit
})

export const resultOf = ({ lastStatus }: ModelContext): WaitResult => ({
  reboot_cmd: 0,
  exit_code: lastStatus,
  oom_killed: false
})

/** @throws CallError as the real drivers do for a root that cannot be one */
export function checkRoot(root: string): void {
  try {
    if (!statSync(root).isDirectory()) throw new CallError('ENOTDIR', 'openat2', `${root} is no directory`)
    if (realpathSync(root) !== root.replace(/(?<=.)\/+$/, ''))
      throw new CallError('ELOOP', 'openat2', `${root} is reached through a symbolic link`)
  } catch (error) {
    if (error instanceof CallError) throw error
    throw new CallError((error as NodeJS.ErrnoException).code ?? 'EIO', 'openat2', root)
  }
}

import { closeSync } from 'node:fs'
import { PERSISTENT } from '../../vocabulary/flags.js'
import type { UnameField } from '../../vocabulary/uname.js'
import { CallError } from '../errors.js'
import { native } from '../native.js'
import { Waiters } from '../waiters.js'
import { readAttribute, readWord, writeAttribute, writeWord } from './attributes.js'
import type { Launch } from './launcher.js'

const storedNames: UnameField[] = ['context', 'sysname', 'nodename', 'release', 'version', 'machine', 'domainname']

/** PID 1 of a running context: the guest's init, or our reaper in its place. */
export interface Pid1 {
  pid: number
  role: 'init' | 'reaper'
}

/** What the daemon knows of one context: its attributes, mirrored, and what is going on. */
export class Context {
  flags = 0n
  bcaps = 0n
  ccaps = 0n
  root: string | null = null
  createdAt = ''
  readonly names = new Map<UnameField, string>()

  /** Its creation is done. Before that nothing is written, for a crash would undo it all anyway. */
  settled = false
  pid1: Pid1 | undefined
  /** The launcher that is PID 1's parent; undefined for one that an earlier daemon started. */
  shim: Launch | undefined
  readonly joins = new Set<Launch>()
  /** A PID 1 on its way; never rejects. */
  starting: Promise<unknown> | undefined
  /** Some process got SYS_ADMIN, so the guest may have changed its UTS names itself. */
  namesMayDiffer = false
  /** wait(2) status of init or of the last task. */
  lastStatus = 0
  /** An init was there in this run: its status is the context's, not that of a later task. */
  hadInit = false
  /** Processes were here before, so attributes may tell of them. */
  hasRun = false
  /** Processes are here whose shim does not talk to this daemon. */
  orphans = false
  /** On its way out; nothing can be started any more. */
  gone = false
  readonly waiters = new Waiters()
  revision = 0

  constructor(
    readonly xid: number,
    readonly path: string,
    readonly line: string
  ) {}

  get persistent(): boolean {
    return (this.flags & PERSISTENT) !== 0n
  }

  get initpid(): number {
    return this.pid1?.role === 'init' ? this.pid1.pid : 0
  }

  get alive(): boolean {
    return this.pid1 !== undefined || this.shim !== undefined || this.joins.size > 0 || this.orphans
  }

  get procs(): string {
    return `${this.path}/cgroup.procs`
  }

  /** Writes all of a new context, the mark that it is whole at the end: a directory without it is half-made. */
  settle(): void {
    this.settled = true
    for (const name of ['flags', 'bcaps', 'ccaps'] as const) writeWord(this.path, name, this[name])
    for (const [field, value] of this.names) writeAttribute(this.path, field, value)
    if (this.root !== null) writeAttribute(this.path, 'root', this.root)
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

  /** Reads what an earlier daemon wrote. False when it did not finish. */
  load(): boolean {
    const createdAt = readAttribute(this.path, 'created_at')
    if (createdAt === undefined) return false
    this.createdAt = createdAt
    this.flags = readWord(this.path, 'flags')
    this.bcaps = readWord(this.path, 'bcaps')
    this.ccaps = readWord(this.path, 'ccaps')
    this.root = readAttribute(this.path, 'root') ?? null
    for (const field of storedNames) {
      const value = readAttribute(this.path, field)
      if (value !== undefined) this.names.set(field, value)
    }
    this.settled = true
    this.hasRun = true
    this.readExit()
    return true
  }

  /** True when it is known how the init, or without one the last task, has ended. */
  readExit(): boolean {
    // Cleared ones are empty, not missing.
    const status = [readAttribute(this.path, 'exit'), readAttribute(this.path, 'last_exit')].find(Boolean)
    if (status) this.lastStatus = Number(status)
    return Boolean(status)
  }

  /** Before a new PID 1: what the attributes tell of the last one must not be taken for its own. */
  forgetRun(): void {
    for (const name of ['exit', 'last_exit', 'pid1', 'own_names'] as const) writeAttribute(this.path, name, '')
    this.hadInit = false
  }

  /** Remembered before the process is started that gets the power to. */
  noteOwnNames(): void {
    if (this.namesMayDiffer) return
    writeAttribute(this.path, 'own_names', '1')
    this.namesMayDiffer = true
  }

  /** Left undefined when the process that was PID 1 is not in the cgroup any more. */
  readPid1(): void {
    this.pid1 = undefined
    const [pid = '', role] = (readAttribute(this.path, 'pid1') ?? '').split(' ')
    if (role !== 'init' && role !== 'reaper') return
    try {
      closeSync(native.openMember(this.procs, this.line, Number(pid)))
      this.pid1 = { pid: Number(pid), role }
      this.hadInit = role === 'init'
      this.namesMayDiffer = readAttribute(this.path, 'own_names') === '1'
    } catch (error) {
      if (!(error instanceof CallError && error.code === 'ESRCH')) throw error
    }
  }
}

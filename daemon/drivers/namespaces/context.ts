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

  get procs(): string {
    return `${this.path}/cgroup.procs`
  }

  /** Writes all attributes of a new context, the mark that it is whole at the end. */
  saveNew(): void {
    this.saveWord('flags', this.flags)
    this.saveWord('bcaps', this.bcaps)
    this.saveWord('ccaps', this.ccaps)
    if (this.root !== null) writeAttribute(this.path, 'root', this.root)
    writeAttribute(this.path, 'created_at', this.createdAt)
  }

  saveWord(name: 'flags' | 'bcaps' | 'ccaps', word: bigint): void {
    writeWord(this.path, name, word)
    this[name] = word
  }

  saveName(field: UnameField, value: string): void {
    writeAttribute(this.path, field, value)
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
    this.readExit()
    return true
  }

  readExit(): void {
    this.lastStatus = Number(readAttribute(this.path, 'exit') ?? this.lastStatus)
  }

  /** Left undefined when the process that was PID 1 is not in the cgroup any more. */
  readPid1(): void {
    this.pid1 = undefined
    const [pid = '', role] = (readAttribute(this.path, 'pid1') ?? '').split(' ')
    if (role !== 'init' && role !== 'reaper') return
    try {
      closeSync(native.openMember(this.procs, this.line, Number(pid)))
      this.pid1 = { pid: Number(pid), role }
    } catch (error) {
      if (!(error instanceof CallError && error.code === 'ESRCH')) throw error
    }
  }
}

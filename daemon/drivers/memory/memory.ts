import { statSync } from 'node:fs'
import { PERSISTENT, SCHED_PAUSE, STATE_INIT, STATE_SETUP } from '../../vocabulary/flags.js'
import { SET_INIT } from '../../vocabulary/migrate.js'
import { SIGKILL, endsByDefault } from '../../vocabulary/signals.js'
import type { Limits } from '../../vocabulary/limits.js'
import type { UnameField } from '../../vocabulary/uname.js'
import type { Treatment, VocabularyKind } from '../../vocabulary/treatment.js'
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
import { CallError } from '../errors.js'
import * as rules from '../rules.js'
import { treatmentOf } from '../treatments.js'
import { checkAccount } from './accounts.js'
import {
  checkRoot,
  detailsOf,
  newContext,
  newProcess,
  processOf,
  resultOf,
  statOf,
  type ModelContext,
  type ModelProcess
} from './model.js'
import { behaviourOf } from './programs.js'
import { treatments } from './treatments.js'

/** Model pids start above any pid of Linux (PID_MAX_LIMIT, 2^22), so that they are never taken for a real one. */
const FIRST_PID = 2 ** 22 + 1

/** A model of the calls' rules without processes, for panel developers and tests. */
export class MemoryDriver implements Driver {
  readonly name = 'memory'
  readonly bcapsAbi = 'vs2.3'
  readonly about = 'a model without processes; nothing runs'
  onStart: Driver['onStart']
  onProcessEnd: Driver['onProcessEnd']
  onExit: Driver['onExit']
  onDeath: Driver['onDeath']
  onError: Driver['onError']

  readonly #contexts = new Map<number, ModelContext>()
  #lastPid = FIRST_PID
  #revision = 0

  treatment(kind: VocabularyKind, name: string): Treatment {
    return treatmentOf(treatments, kind, name)
  }

  vx_create(xid: number, data: CreateData): void {
    rules.checkXid(xid, 'vx_create')
    if (this.#contexts.has(xid)) throw new CallError('EEXIST', 'vx_create', `context ${xid} exists`)
    if (data.root !== undefined) checkRoot(data.root)
    this.#contexts.set(xid, newContext(xid, data, ++this.#revision))
  }

  settle(): void {
    // Nothing of this driver outlives the daemon.
  }

  async vx_migrate(xid: number, data: MigrateData): Promise<Migrated> {
    const context = this.#find(xid, 'vx_migrate')
    rules.requireEnter(context.flags, xid, 'vx_migrate')
    rules.requireUnpaused(context.flags, xid, 'vx_migrate')
    if (data.process.user) checkAccount(data.process.user, context.root)
    const behaviour = behaviourOf(data.process, context.root, {
      nodename: context.uname.nodename,
      stdin: data.capture?.stdin ?? ''
    })
    const process = this.#start(context, data)
    process.stdout = behaviour.stdout ?? ''
    if (behaviour.after !== undefined) {
      const status = (behaviour.exitCode ?? 0) << 8
      const end = () => {
        if (context.flags & SCHED_PAUSE) process.due = end
        else this.#end(context, process, status)
      }
      process.timers.push(setTimeout(end, behaviour.after))
    }
    let timedOut = false
    const kill = () => {
      timedOut = true
      this.#end(context, process, SIGKILL)
    }
    if (data.timeoutMs) process.timers.push(setTimeout(kill, data.timeoutMs))
    if (!data.capture) return { pid: process.pid }
    const status = await process.ended
    const written = Buffer.from(process.stdout)
    const stdout = written.subarray(0, data.capture.limit)
    const truncated = stdout.length < written.length
    return {
      pid: process.pid,
      captured: {
        status,
        oomKilled: false,
        stdout,
        stderr: Buffer.alloc(0),
        truncated,
        timedOut
      }
    }
  }

  vx_task_xid(pid: number): number {
    if (pid === 0) return 0
    for (const context of this.#contexts.values()) if (context.processes.has(pid)) return context.xid
    if (statSync(`/proc/${pid}`, { throwIfNoEntry: false })) return 0
    throw new CallError('ESRCH', 'vx_task_xid', `there is no process ${pid}`)
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: this.#find(xid, 'vx_info').initpid }
  }

  vx_stat(xid: number): Stat {
    return statOf(this.#find(xid, 'vx_stat'))
  }

  vx_bcaps_get(xid: number): bigint {
    return this.#find(xid, 'vx_bcaps_get').bcaps
  }

  vx_bcaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_bcaps_set')
    context.bcaps = rules.replaceBits(context.bcaps, data)
    this.#touch(context)
  }

  vx_ccaps_get(xid: number): bigint {
    return this.#find(xid, 'vx_ccaps_get').ccaps
  }

  vx_ccaps_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_ccaps_set')
    context.ccaps = rules.replaceBits(context.ccaps, data)
    this.#touch(context)
  }

  vx_flags_get(xid: number): FlagsData {
    const { flags } = this.#find(xid, 'vx_flags_get')
    return { flags, mask: rules.changeableFlags(flags) }
  }

  vx_flags_set(xid: number, data: FlagsData): void {
    const context = this.#administrable(xid, 'vx_flags_set')
    context.flags = rules.changeFlags(context.flags, data)
    this.#touch(context)
    if (!(context.flags & SCHED_PAUSE)) for (const process of [...context.processes.values()]) process.due?.()
    this.#removeWhenDead(context)
  }

  vx_uname_get(xid: number, field: UnameField): string {
    rules.checkField(field, 'vx_uname_get')
    return this.#find(xid, 'vx_uname_get').uname[field]
  }

  vx_uname_set(xid: number, field: UnameField, value: string): void {
    rules.checkField(field, 'vx_uname_set')
    const context = this.#administrable(xid, 'vx_uname_set')
    context.uname[field] = value
    this.#touch(context)
  }

  vx_kill(xid: number, pid: number, signal: number): void {
    const context = this.#find(xid, 'vx_kill')
    rules.checkSignal(signal, 'vx_kill')
    if (pid !== 1) rules.requireAdmin(context.flags, xid, 'vx_kill')
    const targets = [...context.processes.values()].filter((process) => {
      if (pid === 0) return true
      if (pid === -1) return process.pid !== context.initpid
      return process.pid === (pid === 1 ? context.initpid : pid)
    })
    if (targets.length === 0) throw new CallError('ESRCH', 'vx_kill', `context ${xid} has no process for pid ${pid}`)
    const sent = pid === 1 ? rules.signalToInit(context.flags, context.processes.size, signal) : signal
    if (!endsByDefault(sent)) return
    for (const process of targets) this.#end(context, process, sent)
  }

  async vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    return this.#find(xid, 'vx_wait').waiters.wait(signal)
  }

  limits_get(xid: number): Limits {
    return this.#find(xid, 'limits_get').limits
  }

  limits_set(xid: number, changes: Partial<Limits>): void {
    const context = this.#administrable(xid, 'limits_set')
    context.limits = { ...context.limits, ...changes }
    this.#touch(context)
  }

  incarnation(xid: number): bigint {
    return this.#find(xid, 'incarnation').incarnation
  }

  exists(xid: number): boolean {
    return this.#contexts.has(xid)
  }

  probe(): void {
    // A model always works.
  }

  list(): number[] {
    return [...this.#contexts.keys()].sort((a, b) => a - b)
  }

  ownerOf(xid: number): number | null {
    return this.#contexts.get(xid)?.owner ?? null
  }

  details(xid: number): ContextDetails {
    return detailsOf(this.#find(xid, 'details'))
  }

  async processes(xid: number): Promise<Process[]> {
    return [...this.#find(xid, 'processes').processes.values()].map(processOf)
  }

  revision(xid: number): number {
    return this.#find(xid, 'revision').revision
  }

  async close(): Promise<void> {
    for (const context of this.#contexts.values())
      for (const process of context.processes.values()) process.timers.forEach(clearTimeout)
  }

  #find(xid: number, call: string): ModelContext {
    const context = this.#contexts.get(xid)
    if (!context) throw rules.noSuchContext(xid, call)
    return context
  }

  #administrable(xid: number, call: string): ModelContext {
    const context = this.#find(xid, call)
    rules.requireAdmin(context.flags, xid, call)
    return context
  }

  #touch(context: ModelContext): void {
    context.revision = ++this.#revision
  }

  #start(context: ModelContext, data: MigrateData): ModelProcess {
    const nspid = data.flags & SET_INIT ? 1 : ++context.forks + 1
    const process = newProcess(++this.#lastPid, nspid, data)
    context.processes.set(process.pid, process)
    // No guest code ever runs with STATE_SETUP set; becoming init is what clears STATE_INIT.
    context.flags &= ~STATE_SETUP
    if (data.flags & SET_INIT) {
      context.initpid = process.pid
      context.flags &= ~STATE_INIT
    }
    this.#touch(context)
    this.onStart?.(context.xid, process.pid, process.pid === context.initpid)
    return process
  }

  #end(context: ModelContext, process: ModelProcess, status: number): void {
    if (!context.processes.delete(process.pid)) return
    process.timers.forEach(clearTimeout)
    const { pid, captured } = process
    const isInit = pid === context.initpid
    if (isInit) context.initpid = 0
    context.lastStatus = status
    if (context.processes.size === 0) context.lastExit = resultOf(context)
    process.end(status)
    this.onProcessEnd?.(context.xid, { pid, status, oomKilled: false, isInit, captured }, context.owner)
    this.#touch(context)
    if (context.processes.size === 0) this.onExit?.(context.xid, resultOf(context), context.owner)
    this.#removeWhenDead(context)
  }

  #removeWhenDead(context: ModelContext): void {
    if (context.processes.size > 0 || context.flags & PERSISTENT) return
    this.#contexts.delete(context.xid)
    const result = resultOf(context)
    this.onDeath?.(context.xid, result, context.owner, context.incarnation)
    context.waiters.finish(result)
  }
}

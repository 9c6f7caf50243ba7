/** The contexts that there are: how they begin, change and end. */
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SC_HELPER } from '../../vocabulary/flags.js'
import { rebootName } from '../../vocabulary/reboot.js'
import type { Death, WaitResult } from '../driver.js'
import { CallError, isShortage, withErrno } from '../errors.js'
import type { Launchers } from '../launcher/launchers.js'
import type { End, Pid1 } from '../launcher/report.js'
import { PastDeaths } from '../past-deaths.js'
import * as rules from '../rules.js'
import { deathsIn } from './attributes.js'
import { isPopulated, killAll, removeTree } from './cgroups.js'
import type { Context } from './context.js'
import type { ForkCounter } from './forks.js'
import type { Told } from './told.js'

/** How long processes that were killed may take to be gone before a directory is given up on. */
const REMOVE_TIMEOUT_MS = 10_000

export class Lives {
  readonly #contexts = new Map<number, Context>()
  readonly #deaths: PastDeaths
  readonly #launchers: Launchers
  readonly #forks: ForkCounter | undefined
  readonly #told: Told
  /** Called before its end is told of. */
  onRunEnded: ((context: Context) => void) | undefined
  #sorted: number[] | undefined
  #revision = 0

  /** @param directory of the contexts' cgroups */
  constructor(directory: string, launchers: Launchers, forks: ForkCounter | undefined, told: Told) {
    this.#deaths = new PastDeaths(deathsIn(directory))
    this.#launchers = launchers
    this.#forks = forks
    this.#told = told
  }

  get(xid: number): Context | undefined {
    return this.#contexts.get(xid)
  }

  /** @throws CallError ESRCH */
  find(xid: number, call: string): Context {
    const context = this.#contexts.get(xid)
    if (!context) throw rules.noSuchContext(xid, call)
    return context
  }

  all(): Iterable<Context> {
    return this.#contexts.values()
  }

  /** In ascending order. */
  xids(): number[] {
    return (this.#sorted ??= [...this.#contexts.keys()].sort((a, b) => a - b))
  }

  takePastDeaths(): readonly Death[] {
    return this.#deaths.take()
  }

  add(context: Context): void {
    context.incarnation =
      context.forks?.key ?? withErrno('stat', context.path, () => statSync(context.path, { bigint: true }).ino)
    this.#contexts.set(context.xid, context)
    this.#sorted = undefined
    this.touch(context)
  }

  /** Renderings of it are out of date. */
  touch(context: Context): void {
    context.revision = ++this.#revision
  }

  /** Its creation is done, or its first process runs. */
  announce(context: Context): void {
    if (context.announced) return
    context.announced = true
    this.#tellHelper(context, 'startup')
  }

  hasPid1(context: Context, pid1: Pid1): void {
    context.pid1 = pid1
    this.announce(context)
    if (pid1.role === 'init') context.hadInit = true
  }

  /** A process that this daemon has started. @param captured its end is what the request is answered with */
  processEnded(context: Context, pid: number, { status, oomKilled }: End, captured: boolean): void {
    const isInit = pid === context.initpid
    this.#told.onProcessEnd?.(context.xid, { pid, status, oomKilled, isInit, captured }, context.owner)
  }

  started(context: Context, pid: number): void {
    context.hasGuest = true
    this.#told.onStart?.(context.xid, pid, pid === context.initpid)
  }

  lostPid1(context: Context): void {
    context.pid1 = undefined
    context.namesMayDiffer = false
    this.#launchers.forget(context)
  }

  /** PID 1 has ended, and with it every process. */
  exited(context: Context): void {
    if (!context.hasGuest) return
    context.hasGuest = false
    context.runEnded()
    this.onRunEnded?.(context)
    this.#told.onExit?.(context.xid, resultOf(context), context.owner)
  }

  tellReboot(context: Context): void {
    if (context.rebootCmd) this.#tellHelper(context, rebootName(context.rebootCmd)?.toLowerCase() ?? '')
  }

  /** As the kernel runs kernel.vshelper. Who called reboot(2) is not known. */
  #tellHelper({ flags, xid }: Context, action: string): void {
    if (flags & SC_HELPER) this.#told.tellHelper({ xid, action, time: new Date().toISOString(), uid: null, pid: null })
  }

  /** Of work that nobody waits for: whoever runs the driver hears of its failure. */
  readonly reportLost = (error: unknown) => {
    this.#told.onError?.(error)
  }

  /** A process has ended, or may have. */
  async changed(context: Context): Promise<void> {
    this.touch(context)
    await this.removeWhenDead(context)
  }

  /** A context lives while a process is in it, or while PERSISTENT is set. */
  async removeWhenDead(context: Context): Promise<void> {
    if (context.gone || context.persistent || context.alive) return
    context.gone = true
    const result = resultOf(context)
    this.#noteDeath(context, result)
    try {
      await removeDirectory(context.path)
    } finally {
      // Even when the directory cannot be removed nobody waits for ever; the next start clears it away.
      this.#contexts.delete(context.xid)
      this.#sorted = undefined
      if (context.forks) this.#forks?.forget(context.forks)
      this.#told.tellDeath(context.xid, result, context.owner, context.incarnation)
      if (context.announced) this.#tellHelper(context, 'shutdown')
      context.waiters.finish(result)
    }
  }

  #noteDeath({ xid, owner, incarnation, announced }: Context, result: WaitResult): void {
    if (!announced) return // its creation failed: it has never been
    try {
      this.#deaths.note({ xid, result, owner, incarnation })
    } catch (error) {
      this.reportLost(error) // who waits now hears all the same
    }
  }
}

const resultOf = ({ rebootCmd, lastEnd: { status, oomKilled } }: Context): WaitResult => ({
  reboot_cmd: rebootCmd,
  exit_code: status,
  oom_killed: oomKilled
})

/** The last processes may still be on their way out, or may be strangers that somebody put there. */
export async function removeDirectory(path: string): Promise<void> {
  const deadline = Date.now() + REMOVE_TIMEOUT_MS
  for (let delay = 1; ; delay = Math.min(delay * 2, 100)) {
    try {
      withErrno('rmdir', path, () => {
        removeTree(path)
      })
      return
    } catch (error) {
      const mayPass = isShortage(error) || (error instanceof CallError && error.code === 'EBUSY')
      if (!mayPass || Date.now() > deadline) throw error
    }
    try {
      if (isPopulated(path)) killAll(path)
    } catch (error) {
      if (!isShortage(error)) throw error
    }
    await sleep(delay)
  }
}

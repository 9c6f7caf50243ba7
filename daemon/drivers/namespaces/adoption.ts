/** Takes over the contexts that an earlier daemon left, and what runs in them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { STATE_SETUP } from '../../vocabulary/flags.js'
import { noLimits } from '../../vocabulary/limits.js'
import type { Launch } from '../launcher/launch.js'
import { native } from '../native.js'
import * as rules from '../rules.js'
import { readAttribute, readAttributes, type Attributes } from './attributes.js'
import { isPopulated, setFrozen, type CgroupHome } from './cgroups.js'
import { Context } from './context.js'
import type { Ends } from './ends.js'
import type { Counted, ForkCounter } from './forks.js'
import { applyDefaults, applyLimits } from './limits.js'
import { removeDirectory, type Lives } from './lives.js'
import { reachShim } from './shims.js'

/** How long an order that an earlier daemon gave may take: exec_limit_ms of native/launcher/children/start.h, and some more. */
const ORDER_TIMEOUT_MS = 35_000
/** Between two shims that are reached: requests that waited for the daemon come first. */
const REACH_PACE_MS = 1

export class Adoption {
  readonly #home: CgroupHome
  readonly #forks: ForkCounter | undefined
  readonly #lives: Lives
  readonly #ends: Ends
  readonly #closing: AbortSignal
  /** Contexts with a PID 1 that an earlier daemon has started, and whose shim is still to be reached. */
  readonly #unreached = new Map<Context, Attributes>()

  constructor(home: CgroupHome, forks: ForkCounter | undefined, lives: Lives, ends: Ends, closing: AbortSignal) {
    this.#home = home
    this.#forks = forks
    this.#lives = lives
    this.#ends = ends
    this.#closing = closing
  }

  /** Takes over every directory, and clears away half-made ones. @param warn hears of those that cannot be taken over */
  async adoptAll(warn: (error: unknown) => void): Promise<void> {
    for (const xid of this.#home.xids()) await this.#adopt(xid).catch(warn)
    this.#forks?.retain([...this.#lives.all()].flatMap((context) => context.forks ?? []))
  }

  async #adopt(xid: number): Promise<void> {
    const context = new Context(xid, this.#home.path(xid), this.#home.line(xid))
    const stored = readAttributes(context.path)
    if (xid < rules.XID_MIN || xid > rules.XID_MAX || !context.load(stored)) {
      await removeDirectory(context.path)
      return
    }
    setFrozen(context.path, context.paused) // it ended perhaps between the flag and this
    if (context.limits !== noLimits) await applyLimits(context.path, context, undefined, this.#home)
    else applyDefaults(context.path, this.#home) // it was another one's perhaps
    context.readPid1(stored)
    const isIdle = !context.pid1 && !isPopulated(context.path) && !native.hasLauncher(context.path)
    context.forks = this.#knownForks(context, isIdle)
    this.#lives.add(context)
    if (!isIdle) this.#rejoin(context, stored)
    else if (stored.exit || stored.last_exit) context.runEnded() // while no daemon ran, perhaps
    await this.#lives.removeWhenDead(context)
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

  /** Reaches every shim: that takes much longer than to know whose it is. */
  async catchUp(): Promise<void> {
    for (const context of this.#unreached.keys()) {
      await sleep(REACH_PACE_MS)
      if (this.#closing.aborted) return
      this.reach(context)
    }
  }

  /** Reaches the context's shim, or finds that it cannot, if that is still to be done. */
  reach(context: Context): void {
    const stored = this.#unreached.get(context)
    if (!stored) return
    this.#unreached.delete(context)
    if (!context.gone) void this.#findShim(context, stored)
  }

  /** Never rejects. */
  async #findShim(context: Context, stored: Attributes): Promise<void> {
    await this.#lookForShim(context, stored).catch(this.#lives.reportLost)
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
      if (this.#closing.aborted) return
      attributes = readAttributes(context.path)
      context.readPid1(attributes)
    }
    this.#ends.followOrphans(context)
  }

  async #rejoinShim(context: Context, shim: Launch): Promise<void> {
    context.orphans = false
    void this.#ends.followShim(context, shim, true)
    const pid1 = await shim.admitted
    if (!pid1 || context.shim !== shim) return
    this.#lives.hasPid1(context, pid1)
    this.#lives.touch(context)
  }
}

/** Hears of the end of what runs in contexts, from its shim or from the kernel. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isShortage } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import { native } from '../native.js'
import { watchPath } from '../watch.js'
import { isPopulated } from './cgroups.js'
import type { Context } from './context.js'
import type { Lives } from './lives.js'

/** How long launchers whose processes have ended may take to write down how. */
const LAUNCHER_TIMEOUT_MS = 10_000
/** Between looks at what cannot be watched. */
const POLL_MS = 500

/** What nobody is there to hear the failure of is asked again until descriptors and memory are there. */
async function onceKnown<T>(ask: () => T): Promise<T> {
  for (;;)
    try {
      return ask()
    } catch (error) {
      if (!isShortage(error)) throw error
      await sleep(POLL_MS)
    }
}

export class Ends {
  readonly #lives: Lives
  readonly #closing: AbortSignal

  constructor(lives: Lives, closing: AbortSignal) {
    this.#lives = lives
    this.#closing = closing
  }

  /** Resolves when the shim has ended, and what follows from that is done. */
  followShim(context: Context, shim: Launch, isRejoined = false): Promise<void> {
    context.shim = shim
    const ended = shim.ended.then(async (exit) => {
      context.shim = undefined
      if (exit) context.endedBy(exit)
      if (exit && context.initpid)
        this.#lives.processEnded(context, context.initpid, { ...exit, status: context.lastEnd.status }, false)
      this.#lives.lostPid1(context)
      const isEmpty = exit !== undefined || !(await onceKnown(() => isPopulated(context.path)))
      // Somebody killed the shim, and not what it was the parent of.
      if (!isEmpty) this.followOrphans(context)
      // It has told the former daemon, or nobody; and launchers that this one knows nothing of have not told it either.
      else if (!exit && isRejoined) context.readExit()
      if (isEmpty) this.#lives.exited(context)
      this.#lives.tellReboot(context)
      await this.#lives.changed(context)
    })
    ended.catch(this.#lives.reportLost)
    return ended
  }

  /**
   * Follows processes whose shim does not talk to this daemon. The kernel still says when the last one has ended:
   * kernfs tells pollers and inotify when cgroup.events changes (cgroup-v2.rst, "[Un]populated Notification").
   */
  followOrphans(context: Context): void {
    context.readPid1()
    context.orphans = true
    context.hasGuest = true
    const check = () => {
      if (!context.orphans) return
      try {
        if (isPopulated(context.path)) return
      } catch (error) {
        if (!isShortage(error)) throw error
        setTimeout(check, POLL_MS).unref()
        return
      }
      context.orphans = false
      stop()
      const ended = this.#orphansEnded(context)
        .catch(this.#lives.reportLost)
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
    this.#lives.lostPid1(context)
    this.#lives.exited(context)
    this.#lives.tellReboot(context)
    await this.#lives.changed(context)
  }

  #watchEvents(path: string, changed: () => void): () => void {
    const stop = watchPath(path, POLL_MS, changed)
    this.#closing.addEventListener('abort', stop)
    return () => {
      this.#closing.removeEventListener('abort', stop)
      stop()
    }
  }
}

/** Who waits for which context's death: one thread a context, however many wait for it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { WaitResult } from '../driver.js'
import { asCallError, vserver, type WaitHandle } from '../native.js'
import { Waiters } from '../waiters.js'

/** Between signals to a thread that is to end. One is enough, unless it comes just before the call. */
const CANCEL_MS = 5

/** @throws CallError EAGAIN: there are too many threads */
function startWait(...args: Parameters<typeof vserver.startWait>): WaitHandle {
  try {
    return vserver.startWait(...args)
  } catch (error) {
    throw asCallError(error as Error, [`a thread to wait for context ${args[0]}`])
  }
}

interface Listener {
  /** Before a death is told of; with a promise, that waits for it. */
  ending(xid: number, result: WaitResult): Promise<void> | undefined
  /** Is told of each death that a thread has seen, before those who wait. */
  died(xid: number, result: WaitResult): void
  /** Why the daemon itself will not hear of one. */
  failed(error: Error): void
}

class Watch {
  readonly waiters = new Waiters()
  /** The daemon itself wants to know, whoever else does. */
  held = false
  readonly ended: Promise<void>
  #over = false
  #cancelling = false
  readonly #thread: WaitHandle

  /** @param forget this watch: whoever comes now is to wait for another context */
  constructor(xid: number, listener: Listener, forget: (watch: Watch) => void) {
    let end: () => void = () => undefined
    this.ended = new Promise((resolve) => {
      end = resolve
    })
    const died = (result: WaitResult) => {
      forget(this)
      try {
        listener.died(xid, result)
      } catch (failure) {
        listener.failed(failure as Error) // such as a record that cannot be removed; who waits hears all the same
      }
      this.waiters.finish(result)
      end()
    }
    this.#thread = startWait(xid, (error, rebootCmd, exitCode) => {
      this.#over = true
      if (error) {
        const failure = asCallError(error, [`context ${xid}`])
        forget(this)
        // Nobody else would hear that how this context ends will not be known.
        if (this.held && !this.#cancelling) listener.failed(failure)
        this.waiters.fail(failure)
        end()
        return
      }
      const result = { reboot_cmd: rebootCmd, exit_code: exitCode, oom_killed: null }
      const late = listener.ending(xid, result)
      if (late)
        void late.then(() => {
          died(result)
        })
      else died(result)
    })
  }

  get wanted(): boolean {
    return this.held || this.waiters.size > 0
  }

  get cancelling(): boolean {
    return this.#cancelling
  }

  /** Resolves when no death escapes the thread any more. */
  async entered(): Promise<void> {
    for (let tries = 0; !this.#over && !vserver.isWaiting(this.#thread); tries++) await sleep(tries < 10 ? 0 : 1)
  }

  async cancel(): Promise<void> {
    this.#cancelling = true
    while (!this.#over) {
      vserver.cancelWait(this.#thread)
      await Promise.race([this.ended, sleep(CANCEL_MS)])
    }
    await this.ended
  }
}

export class Deaths {
  readonly #watches = new Map<number, Watch>()

  constructor(private readonly listener: Listener) {}

  /** Watches until the context dies or release(). Resolves when its death cannot escape any more. */
  async hold(xid: number): Promise<void> {
    const { watch } = await this.#watch(xid, (found) => (found.held = true))
    await watch.entered()
  }

  isWatched(xid: number): boolean {
    return this.#watches.get(xid)?.cancelling === false
  }

  /** The daemon does not wait any more; others may. */
  release(xid: number): void {
    const watch = this.#watches.get(xid)
    if (!watch) return
    watch.held = false
    this.#dropUnwanted(watch)
  }

  /** Rejects with EINTR when `signal` aborts. */
  async wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    const { watch, claimed } = await this.#watch(xid, ({ waiters }) => waiters.wait(signal))
    try {
      return await claimed
    } finally {
      this.#dropUnwanted(watch)
    }
  }

  /** Resolves when a thread that was in the call, if there is one, cannot miss what comes now. */
  async entered(xid: number): Promise<void> {
    await this.#watches.get(xid)?.entered()
  }

  /** Resolves when nobody waits for a context of this xid that is dead already. */
  async ended(xid: number): Promise<void> {
    await this.#watches.get(xid)?.ended
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => watch.cancel()))
  }

  /** @param claim makes the watch wanted, before anybody else can find that it is not and cancel it */
  async #watch<T>(xid: number, claim: (watch: Watch) => T): Promise<{ watch: Watch; claimed: T }> {
    for (let found = this.#watches.get(xid); found; found = this.#watches.get(xid)) {
      if (!found.cancelling) return { watch: found, claimed: claim(found) }
      await found.ended
    }
    const watch = new Watch(xid, this.listener, (over) => {
      if (this.#watches.get(xid) === over) this.#watches.delete(xid)
    })
    this.#watches.set(xid, watch)
    return { watch, claimed: claim(watch) }
  }

  #dropUnwanted(watch: Watch): void {
    if (!watch.wanted && !watch.cancelling) void watch.cancel()
  }
}

/** How contexts end: who is watched, and what is kept and told of an end. */
import { PERSISTENT } from '../../vocabulary/flags.js'
import type { WaitResult } from '../driver.js'
import { PastDeaths, type Death } from '../past-deaths.js'
import { exists, flagsOf } from './calls.js'
import { Deaths } from './deaths.js'
import { deathsIn, type Records } from './records.js'

export interface Listener {
  /** Before an end is told of; with a promise, that waits for it. */
  ending(xid: number, result: WaitResult): Promise<void> | undefined
  /** The last process has ended. */
  exited(xid: number, result: WaitResult, owner: number | null): void
  died(xid: number, result: WaitResult, owner: number | null, incarnation: bigint): void
  failed(error: unknown): void
}

export class Lives {
  readonly #past: PastDeaths
  readonly #deaths: Deaths
  /** Contexts without a process that end because PERSISTENT was cleared. */
  readonly #emptied = new Set<number>()
  /** Contexts in which a process has been started by this daemon. */
  readonly #started = new Set<number>()

  constructor(
    stateDir: string,
    private readonly records: Records,
    private readonly listener: Listener
  ) {
    this.#past = new PastDeaths(deathsIn(stateDir))
    this.#deaths = new Deaths({
      ending: (xid, result) => listener.ending(xid, result),
      died: (xid, result) => {
        this.#end(xid, result)
      },
      failed: (error) => {
        listener.failed(error)
      }
    })
  }

  /** Those that earlier daemons have heard of. */
  takePast(): readonly Death[] {
    return this.#past.take()
  }

  noteStart(xid: number): void {
    this.#started.add(xid)
  }

  /** Watches a context that can end without a word to us. */
  async watchMortal(xid: number): Promise<void> {
    if (!(flagsOf(xid) & PERSISTENT)) await this.#hold(xid)
  }

  /**
   * Clears PERSISTENT, or sets it, by `change`. From then on the context may end at any time, and nobody but a waiting
   * thread is told how.
   */
  async changePersistence(xid: number, isSet: boolean, change: () => void): Promise<void> {
    if (!isSet) await this.#hold(xid)
    try {
      change()
    } finally {
      await this.#settleWatch(xid)
    }
  }

  /** Rejects with EINTR when `signal` aborts. */
  wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    return this.#deaths.wait(xid, signal)
  }

  isWatched(xid: number): boolean {
    return this.#deaths.isWatched(xid)
  }

  /** Resolves when whoever waits for the context cannot miss how it ends. */
  async entered(xid: number): Promise<void> {
    await this.#deaths.entered(xid)
  }

  /** Resolves when nobody waits for a context of this xid that is dead already. */
  async ended(xid: number): Promise<void> {
    await this.#deaths.ended(xid)
  }

  close(): Promise<void> {
    return this.#deaths.close()
  }

  #end(xid: number, result: WaitResult): void {
    const owner = this.records.ownerOf(xid)
    const incarnation = this.records.lastIncarnation(xid)
    // A creation that failed has never been.
    if (this.#started.delete(xid) || !this.records.isMaking(xid)) this.#note({ xid, result, owner, incarnation })
    this.records.forget(xid)
    if (!this.#emptied.has(xid)) this.listener.exited(xid, result, owner)
    this.listener.died(xid, result, owner, incarnation)
  }

  #note(death: Omit<Death, 'at'>): void {
    try {
      this.#past.note(death)
    } catch (error) {
      this.listener.failed(error) // who waits now hears all the same
    }
  }

  /** After a change of PERSISTENT: a context that is gone has told so, one that can stay needs no watch. */
  async #settleWatch(xid: number): Promise<void> {
    if (!exists(xid)) {
      this.#emptied.add(xid)
      await this.#deaths.ended(xid)
      this.#emptied.delete(xid)
    } else if (flagsOf(xid) & PERSISTENT) this.#deaths.release(xid)
  }

  /** Without a thread nobody will know how the context ends, which must not keep it from ending. */
  async #hold(xid: number): Promise<void> {
    await this.#deaths.hold(xid).catch((error: unknown) => {
      this.listener.failed(error)
    })
  }
}

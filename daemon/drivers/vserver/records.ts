/**
 * What a Linux-VServer kernel does not keep of a context: its guest root, and whether its creation is done. One small
 * file each, in a directory that a restart of the host empties, as it ends the contexts. A file belongs to the context
 * that was born when it says; the kernel tells the age of each (virt_stat).
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CallError, withErrno } from '../errors.js'
import { native } from '../native.js'
import type { Places } from '../past-deaths.js'
import { bootId } from './kernel.js'

export interface Record {
  /** Uid that has made the context; null for one that others made. */
  owner: number | null
  root: string | null
  /** ISO 8601. */
  created_at: string
  settled: boolean
}

interface Stored extends Record {
  boot: string
  /** CLOCK_MONOTONIC in nanoseconds, decimal: before the context was made, until it is settled. */
  born: string
  /** What `born` was at first: Driver.incarnation. */
  incarnation: string
}

/** How far two readings of one birth may be apart. */
const SAME_NS = 100_000_000n
/** How long the making of a context may take. */
const MAKING_NS = 60_000_000_000n

/** Below the state directory: one of the last deaths in a file each. */
export function deathsIn(stateDir: string): Places {
  const directory = join(stateDir, 'deaths')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  return {
    read: (place) => {
      try {
        return readFileSync(join(directory, String(place)), 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    write: (place, text) => {
      writeFileSync(join(directory, String(place)), text, { mode: 0o600 })
    }
  }
}

export class Records {
  readonly #directory: string
  readonly #lock: number
  readonly #boot = bootId()
  readonly #records = new Map<number, Stored>()
  /** Those that are in a file as they are here. */
  readonly #kept = new Set<number>()

  /** @throws CallError naming what cannot be made, or that another daemon uses it */
  constructor(directory: string) {
    this.#directory = join(directory, 'contexts')
    withErrno('mkdir', this.#directory, () => mkdirSync(this.#directory, { recursive: true, mode: 0o700 }))
    const lockPath = join(directory, 'lock')
    this.#lock = withErrno('open', lockPath, () => openSync(lockPath, 'w', 0o600))
    if (!native.tryLock(this.#lock)) {
      closeSync(this.#lock)
      throw new CallError('EAGAIN', 'fcntl', `another contextd uses ${directory}; give this one its own --state-dir`)
    }
    for (const name of readdirSync(this.#directory)) this.#load(name)
  }

  /** Before a context is made: what a daemon that ends meanwhile leaves is known as half-made. */
  begin(xid: number, owner: number, root: string | null, now: bigint): void {
    const stored = {
      owner,
      root,
      created_at: new Date().toISOString(),
      settled: false,
      boot: this.#boot,
      born: String(now),
      incarnation: String(now)
    }
    this.#write(xid, stored)
  }

  settle(xid: number, born: bigint): void {
    const stored = this.#records.get(xid)
    if (stored) this.#write(xid, { ...stored, settled: true, born: String(born) })
  }

  forget(xid: number): void {
    this.#kept.delete(xid)
    if (!this.#records.delete(xid)) return
    rmSync(this.#path(xid), { force: true })
  }

  /** Of a context that has just died. */
  ownerOf(xid: number): number | null {
    return this.#records.get(xid)?.owner ?? null
  }

  xids(): number[] {
    return [...this.#records.keys()]
  }

  /** Driver.incarnation of the context with this xid that was born then. */
  incarnation(xid: number, born: bigint): bigint {
    this.of(xid, born)
    return BigInt(this.#records.get(xid)?.incarnation ?? born)
  }

  /** The same, of the last one with this xid that is known of; 0 for none. */
  lastIncarnation(xid: number): bigint {
    return BigInt(this.#records.get(xid)?.incarnation ?? 0)
  }

  /** begin() was called, and neither settle() nor forget(). */
  isMaking(xid: number): boolean {
    return this.#records.get(xid)?.settled === false
  }

  /** The same, and the next daemon will say so too: of one that others made, too, before we write in its name. */
  keepIncarnation(xid: number, born: bigint): bigint {
    const incarnation = this.incarnation(xid, born)
    const stored = this.#records.get(xid)
    if (stored && !this.#kept.has(xid)) this.#write(xid, stored)
    return incarnation
  }

  /** The record of the context with this xid that was born then. One that others made gets a record now. */
  of(xid: number, born: bigint): Record {
    const stored = this.#records.get(xid)
    if (stored && this.#isOf(stored, born)) return stored
    const age = process.hrtime.bigint() - born
    const made = {
      owner: null,
      root: null,
      created_at: new Date(Date.now() - Number(age / 1_000_000n)).toISOString(),
      settled: true
    }
    this.#records.set(xid, { ...made, boot: this.#boot, born: String(born), incarnation: String(born) })
    this.#kept.delete(xid)
    return made
  }

  has(xid: number, born: bigint): boolean {
    const stored = this.#records.get(xid)
    return stored !== undefined && this.#isOf(stored, born)
  }

  close(): void {
    closeSync(this.#lock)
  }

  #isOf(stored: Stored, born: bigint): boolean {
    const later = born - BigInt(stored.born)
    return stored.boot === this.#boot && later >= -SAME_NS && later <= (stored.settled ? SAME_NS : MAKING_NS)
  }

  #path(xid: number): string {
    return join(this.#directory, `${xid}.json`)
  }

  #write(xid: number, stored: Stored): void {
    const path = this.#path(xid)
    withErrno('write', path, () => {
      writeFileSync(`${path}.new`, JSON.stringify(stored), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    })
    this.#records.set(xid, stored)
    this.#kept.add(xid)
  }

  #load(name: string): void {
    const path = join(this.#directory, name)
    const [, xid] = /^(\d+)\.json$/.exec(name) ?? []
    try {
      if (xid === undefined) throw new Error('no record')
      // Daemons before owners wrote none.
      const read = JSON.parse(readFileSync(path, 'utf8')) as Omit<Stored, 'owner'> & Partial<Stored>
      const stored: Stored = { owner: null, ...read }
      BigInt(stored.born)
      this.#records.set(Number(xid), stored)
      this.#kept.add(Number(xid))
    } catch {
      rmSync(path, { force: true }) // cut off in the middle of a write, or not ours
    }
  }
}

/**
 * Which contexts there are. No command says so, only a directory (/proc/virtual), and its readdir is no snapshot: while
 * contexts come and go it leaves some out and names others twice. What was seen once is asked for by name from then on,
 * and the directory is read again until it and the kernel's count agree.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { withErrno } from '../errors.js'
import { XID_MIN } from '../rules.js'
import { exists } from './calls.js'

/** The chance of a context that nobody knows to be left out is below a hundredth each time. */
const MOST_READS = 4

export class Listing {
  readonly #known = new Set<number>()

  /** @param directory where the kernel lists its contexts */
  constructor(private readonly directory: string) {}

  /** There is such a context, or is about to be. */
  add(xid: number): void {
    this.#known.add(xid)
  }

  /** In ascending order. @throws CallError when the directory cannot be read */
  xids(): number[] {
    for (let reads = 0; reads < MOST_READS; reads++) {
      for (const xid of this.read()) this.#known.add(xid)
      for (const xid of this.#known) if (!exists(xid)) this.#known.delete(xid)
      if (this.#known.size === this.#count()) break
    }
    return [...this.#known].sort((a, b) => a - b)
  }

  /** What the directory has just now. @throws CallError when it cannot be read */
  read(): number[] {
    return withErrno('readdir', this.directory, () => readdirSync(this.directory))
      .flatMap((name) => (/^[1-9]\d*$/.test(name) ? [Number(name)] : []))
      .filter((xid) => xid >= XID_MIN)
  }

  /** How many there are by the kernel's own count; undefined where it does not say. */
  #count(): number | undefined {
    try {
      const [, count] = /^#CActive:\s*(\d+)$/m.exec(readFileSync(join(this.directory, 'status'), 'utf8')) ?? []
      return count === undefined ? undefined : Number(count)
    } catch {
      return undefined
    }
  }
}

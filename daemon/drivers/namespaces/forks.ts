/** nr_forks: counted by the kernel for as long as a daemon or a shim is there (native/namespaces/forks.h). */
import { closeSync } from 'node:fs'
import { CallError } from '../errors.js'
import { native, type ForkCounterFiles } from '../native.js'

/** What is counted of a cgroup. */
export interface Counted {
  /** In the counters. */
  slot: number
  /** Id of the cgroup. */
  key: bigint
}

export class ForkCounter {
  private constructor(readonly files: ForkCounterFiles) {}

  /**
   * @param contexts the directory that contexts are in
   * @param level depth of a context's cgroup in the hierarchy
   * @returns why not, where the kernel or who runs the daemon does not allow it (bpf(2))
   */
  static open(contexts: string, level: number): ForkCounter | CallError {
    try {
      return new ForkCounter(native.openForkCounter(contexts, level))
    } catch (error) {
      if (error instanceof CallError) return error
      throw error
    }
  }

  /** Begins with `base`; undefined when too many contexts are counted already. */
  count(path: string, slot: number, base: number): Counted | undefined {
    const { slots, counters } = this.files
    try {
      return { slot, key: native.countForks(slots, counters, path, slot, base) }
    } catch (error) {
      if (error instanceof CallError && error.call === 'bpf') return undefined
      throw error
    }
  }

  /** What an earlier daemon has begun to count. */
  find(path: string, slot: number): Counted | undefined {
    const key = native.findForks(this.files.slots, this.files.counters, path)
    return key === undefined ? undefined : { slot, key }
  }

  read({ slot }: Counted): number {
    return native.readForks(this.files.slots, this.files.counters, slot)
  }

  forget({ key }: Counted): void {
    native.forgetForks(this.files.slots, this.files.counters, key)
  }

  /** Forgets all others: a daemon that was killed may have left some of contexts that are gone. */
  retain(counted: Iterable<Counted>): void {
    const known = new Set([...counted].map(({ key }) => key))
    for (const key of native.listForks(this.files.slots, this.files.counters))
      if (!known.has(key)) native.forgetForks(this.files.slots, this.files.counters, key)
  }

  close(): void {
    for (const fd of Object.values(this.files) as number[]) closeSync(fd)
  }
}

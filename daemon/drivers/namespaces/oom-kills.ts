/** Tells of processes that the kernel has killed for lack of memory, by the cgroups' own counters (memory.events). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { watchPath } from '../watch.js'

/** Between looks where the file cannot be watched. */
const POLL_MS = 1000

interface Counted {
  readonly path: string
}

/** Undefined where there is no memory controller, or no cgroup any more. */
function killsIn(path: string): number | undefined {
  try {
    const [, kills] = /^oom_kill (\d+)$/m.exec(readFileSync(join(path, 'memory.events'), 'utf8')) ?? []
    return kills === undefined ? undefined : Number(kills)
  } catch (error) {
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

/**
 * The file of a directory counts what happens below it, and whoever watches it is told of each change (cgroup-v2.rst,
 * "memory.events"), so one watch is enough for all contexts.
 */
export class OomKills<T extends Counted> {
  #total: number | undefined
  readonly #seen = new WeakMap<T, number>()
  readonly #stop: (() => void) | undefined

  /**
   * @param path the directory that all are in
   * @param failed hears of files that cannot be read
   */
  constructor(
    private readonly path: string,
    private readonly all: () => Iterable<T>,
    private readonly told: (context: T, kills: number) => void,
    private readonly failed: (error: unknown) => void
  ) {
    this.#total = killsIn(path)
    if (this.#total === undefined) return
    this.#stop = watchPath(join(path, 'memory.events'), POLL_MS, () => {
      this.look()
    })
  }

  /** What an earlier daemon may have told of is not told again. */
  adopt(context: T): void {
    const kills = this.#stop && killsIn(context.path)
    if (kills) this.#seen.set(context, kills)
  }

  look(): void {
    try {
      const total = killsIn(this.path)
      if (total === this.#total) return
      this.#total = total
      for (const context of this.all()) this.lookAt(context)
    } catch (error) {
      this.failed(error)
    }
  }

  /** Before its directory is removed, too: the watch may tell only then. */
  lookAt(context: T): void {
    const kills = this.#stop && killsIn(context.path)
    if (!kills || kills === (this.#seen.get(context) ?? 0)) return
    this.#seen.set(context, kills)
    this.told(context, kills)
  }

  close(): void {
    this.#stop?.()
  }
}

/** Load averages of contexts, as the kernel computes its own (include/linux/sched/loadavg.h, kernel/sched/loadavg.c). */
import { native } from '../native.js'
import { threadStates } from '../procfs.js'

/** Fixed point, 11 bits. */
const FIXED_1 = 2 ** 11
/** 1/exp(5s/1min), over 5 and over 15 minutes. */
const DECAYS = [1884, 2014, 2037]
/** LOAD_FREQ. */
const SAMPLE_MS = 5000

/** calc_load(): rounded up while the load rises, so that it can reach what it rises to. */
function next(load: number, decay: number, active: number): number {
  return Math.floor((load * decay + active * (FIXED_1 - decay) + (active >= load ? FIXED_1 - 1 : 0)) / FIXED_1)
}

/** Of one context. Samples that are left out found nothing to run. */
export class LoadAverage {
  #loads = [0, 0, 0]
  /** The sample that they are of. */
  #last = 0

  add(sample: number, active: number): void {
    this.#skipTo(sample - 1)
    this.#apply(active)
    this.#last = sample
  }

  at(sample: number): [number, number, number] {
    this.#skipTo(sample)
    const [one = 0, five = 0, fifteen = 0] = this.#loads.map((load) => load / FIXED_1)
    return [one, five, fifteen]
  }

  #apply(active: number): void {
    this.#loads = this.#loads.map((load, at) => next(load, DECAYS[at] ?? 0, active * FIXED_1))
  }

  #skipTo(sample: number): void {
    while (this.#last < sample && this.#loads.some((load) => load > 0)) {
      this.#apply(0)
      this.#last++
    }
    this.#last = Math.max(this.#last, sample)
  }
}

export interface Sampled {
  readonly path: string
  readonly loadAverage: LoadAverage
}

/** What a cgroup looked like when it was sampled last. */
interface Seen {
  usage: number
  active: number
}

/** Samples every 5 seconds. What has used no CPU time since the last sample is asleep, and costs no look at its threads. */
export class LoadSampler {
  /** The last one that is done. */
  sample = 0
  readonly #seen = new WeakMap<object, Seen>()
  readonly #timer: NodeJS.Timeout
  #working = false

  /**
   * @param all the cgroup that all contexts are in
   * @param populated those with processes
   */
  constructor(
    private readonly all: Sampled,
    private readonly populated: () => Sampled[]
  ) {
    this.#timer = setInterval(() => void this.#tick(), SAMPLE_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #tick(): Promise<void> {
    if (this.#working) return // a very slow machine
    this.#working = true
    const sample = this.sample + 1
    try {
      const [usage = -1] = await native.cpuUsage([this.all.path])
      if (this.#isAsleep(this.all, usage)) return
      const contexts = this.populated()
      const usages = await native.cpuUsage(contexts.map(({ path }) => path))
      let active = 0
      for (const [i, context] of contexts.entries()) active += await this.#add(context, usages[i] ?? -1, sample)
      this.#seen.set(this.all, { usage, active })
    } finally {
      this.#working = false
      this.sample = sample
    }
  }

  async #add(context: Sampled, usage: number, sample: number): Promise<number> {
    if (this.#isAsleep(context, usage)) return 0
    // Runnable and uninterruptible, as the kernel counts.
    const states = await threadStates(context.path)
    const active = states.filter((state) => state === 'R' || state === 'D').length
    this.#seen.set(context, { usage, active })
    context.loadAverage.add(sample, active)
    return active
  }

  /** A thread runs before it sleeps uninterruptibly, so nobody has begun to. */
  #isAsleep(cgroup: Sampled, usage: number): boolean {
    const seen = this.#seen.get(cgroup)
    return usage >= 0 && seen?.usage === usage && seen.active === 0
  }
}

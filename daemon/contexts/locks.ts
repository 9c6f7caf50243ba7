/** One piece of work at a time for each key, in the order they came. */
export class Locks {
  readonly #tails = new Map<number, Promise<void>>()

  async run<T>(key: number, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    let release: () => void = () => undefined
    const tail = new Promise<void>((resolve) => {
      release = resolve
    })
    this.#tails.set(key, tail)
    try {
      await before
      return await work()
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
      release()
    }
  }
}

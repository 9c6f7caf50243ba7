/** What SIGHUP asks for: every part that reads files reads them anew. */
import type { FastifyBaseLogger } from 'fastify'

type Reload = () => void | Promise<void>

/** The parts, reloaded in the order in which they were added. One that fails keeps what it had. */
export class Reloads {
  readonly #parts: { name: string; reload: Reload }[] = []
  #running: Promise<void> | undefined
  #asked = 0
  #answered = 0

  constructor(readonly log: Pick<FastifyBaseLogger, 'info' | 'error'>) {}

  /** @param name for the log, when `reload` throws or rejects */
  add(name: string, reload: Reload): void {
    this.#parts.push({ name, reload })
  }

  /**
   * Reloads every part; never rejects. Asked during a run, it runs once more afterwards, for the files may have changed
   * since they were read.
   * @returns when no run is under way or due
   */
  run(): Promise<void> {
    this.#asked++
    this.#running ??= this.#untilAnswered().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #untilAnswered(): Promise<void> {
    while (this.#answered < this.#asked) {
      this.#answered = this.#asked
      const failed: string[] = []
      for (const { name, reload } of this.#parts)
        try {
          await reload()
        } catch (error) {
          failed.push(name)
          this.log.error({ err: error, part: name }, `${name} is not reloaded and stays as it was`)
        }
      this.log.info({ parts: this.#parts.map(({ name }) => name), failed }, 'reloaded')
    }
  }
}

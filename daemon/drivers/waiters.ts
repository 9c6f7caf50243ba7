import type { WaitResult } from './driver.js'
import { CallError } from './errors.js'

/** Those who wait for a context's death: any number, each may leave. */
export class Waiters {
  readonly #waiting = new Set<(result: WaitResult) => void>()

  get size(): number {
    return this.#waiting.size
  }

  /** Rejects with EINTR when `signal` aborts, as wait_exit does. */
  wait(signal: AbortSignal): Promise<WaitResult> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(finish)
        reject(new CallError('EINTR', 'vx_wait', 'the wait was cancelled'))
      }
      const finish = (result: WaitResult) => {
        signal.removeEventListener('abort', leave)
        resolve(result)
      }
      if (signal.aborted) {
        leave()
        return
      }
      this.#waiting.add(finish)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  finish(result: WaitResult): void {
    const all = [...this.#waiting]
    this.#waiting.clear()
    for (const finish of all) finish(result)
  }
}

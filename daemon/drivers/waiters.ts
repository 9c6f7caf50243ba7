import type { WaitResult } from './driver.js'
import { CallError } from './errors.js'

/** Those who wait for a context's death: any number, each may leave. */
export class Waiters {
  readonly #waiting = new Set<{ finish: (result: WaitResult) => void; fail: (error: Error) => void }>()

  get size(): number {
    return this.#waiting.size
  }

  /** Rejects with EINTR when `signal` aborts, as wait_exit does. */
  wait(signal: AbortSignal): Promise<WaitResult> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiter)
        reject(new CallError('EINTR', 'vx_wait', 'the wait was cancelled'))
      }
      const waiter = {
        finish: (result: WaitResult) => {
          signal.removeEventListener('abort', leave)
          resolve(result)
        },
        fail: (error: Error) => {
          signal.removeEventListener('abort', leave)
          reject(error)
        }
      }
      if (signal.aborted) {
        leave()
        return
      }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  finish(result: WaitResult): void {
    for (const { finish } of this.#takeAll()) finish(result)
  }

  fail(error: Error): void {
    for (const { fail } of this.#takeAll()) fail(error)
  }

  #takeAll() {
    const all = [...this.#waiting]
    this.#waiting.clear()
    return all
  }
}

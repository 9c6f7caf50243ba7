import { Refusal } from '../refusal.js'

const KEPT_MS = 10 * 60 * 1000
const KEPT_MAX = 1024
const KEY_MAX = 255

interface Kept {
  what: string
  answer: Promise<unknown>
  at: number
}

/** Requests that carry a key are done once; a repetition gets the first one's answer. */
export class Idempotency {
  readonly #kept = new Map<string, Kept>()

  /**
   * @param key the Idempotency-Key header; without one the work is just done
   * @param uid keys of different callers are different keys
   * @param what the request; a key is for one request only
   * @throws Refusal 422 when the key was used for another request
   */
  async run<T>(key: string | string[] | undefined, uid: number, what: unknown, work: () => Promise<T>): Promise<T> {
    if (key === undefined) return work()
    if (typeof key !== 'string' || key === '' || key.length > KEY_MAX)
      throw new Refusal(400, 'validation', `headers.idempotency-key has 1 to ${KEY_MAX} characters`)
    this.#expire()
    const id = `${uid}:${key}`
    const text = JSON.stringify(what)
    const kept = this.#kept.get(id)
    if (kept) {
      if (kept.what !== text)
        throw new Refusal(422, 'idempotency-key', 'this Idempotency-Key was used for another request')
      return kept.answer as Promise<T>
    }
    const answer = work()
    this.#kept.set(id, { what: text, answer, at: Date.now() })
    // A failure has left nothing behind, so the next try is a new one.
    answer.catch(() => this.#kept.delete(id))
    return answer
  }

  #expire(): void {
    const now = Date.now()
    for (const [id, { at }] of this.#kept) {
      if (this.#kept.size < KEPT_MAX && now - at <= KEPT_MS) return
      this.#kept.delete(id)
    }
  }
}

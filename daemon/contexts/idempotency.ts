import { createHash } from 'node:crypto'
import { Refusal } from '../refusal.js'

const KEPT_MS = 10 * 60 * 1000
const KEY_MAX = 255

/** Kept of each uid at most, the oldest going first. */
const KEYS_MAX = 1024
const BYTES_MAX = 1024 * 1024
/** Of one answer; the key of a longer one is kept without it. */
const ANSWER_MAX = 64 * 1024
/** Of all uids. A uid that has nothing kept yet is refused beyond that, for nobody's keys are pushed out by another's. */
const TOTAL_MAX = 64 * BYTES_MAX
const ROOT = 0

/** Of a key and what is around it, about; an object, its strings and its places in maps. */
const OVERHEAD = 512

interface Kept {
  /** Digest of the request. */
  what: string
  /** Undefined once it is done, of what was too long to be kept. */
  answer: Promise<unknown> | undefined
  isDone: boolean
  bytes: number
  at: number
}

interface OfUid {
  /** The oldest first. */
  keys: Map<string, Kept>
  bytes: number
}

/** Requests that carry a key are done once; a repetition gets the first one's answer, or waits for it. */
export class Idempotency {
  readonly #byUid = new Map<number, OfUid>()
  #bytes = 0

  /** Bytes that are kept, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether this uid's key is that of a request that is done or under way. */
  knows(key: string | string[] | undefined, uid: number): boolean {
    return typeof key === 'string' && this.#byUid.get(uid)?.keys.has(key) === true
  }

  /**
   * @param key the Idempotency-Key header; without one the work is just done
   * @param uid keys of different callers are different keys
   * @param what the request; a key is for one request only
   * @param sizeOf an answer, bytes
   * @throws Refusal 422 when the key was used for another request, 409 when its answer was too long to be kept
   */
  async run<T>(
    key: string | string[] | undefined,
    uid: number,
    what: unknown,
    work: () => Promise<T>,
    sizeOf: (answer: T) => number = () => 0
  ): Promise<T> {
    if (key === undefined) return work()
    if (typeof key !== 'string' || key === '' || key.length > KEY_MAX)
      throw new Refusal(400, 'validation', `headers.idempotency-key has 1 to ${KEY_MAX} characters`)
    this.#expire()
    const digest = createHash('sha256').update(JSON.stringify(what)).digest('base64')
    const known = this.#byUid.get(uid)?.keys.get(key)
    if (known) return answerOf(known, digest) as Promise<T>
    if (this.#bytes >= TOTAL_MAX && uid !== ROOT && !this.#byUid.has(uid))
      throw new Refusal(503, 'busy', 'too many requests with an Idempotency-Key are remembered; try again later')
    const bytes = OVERHEAD + 2 * key.length
    const answer = work()
    const kept: Kept = { what: digest, answer, isDone: false, bytes, at: Date.now() }
    this.#add(uid, key, kept)
    try {
      const size = sizeOf(await answer)
      if (size <= ANSWER_MAX) this.#grow(uid, kept, size)
      else kept.answer = undefined
      return await answer
    } catch (error) {
      // A failure has left nothing behind, so the next try is a new one.
      this.#forget(uid, key)
      throw error
    } finally {
      kept.isDone = true
    }
  }

  #add(uid: number, key: string, kept: Kept): void {
    const own = this.#byUid.get(uid) ?? { keys: new Map<string, Kept>(), bytes: 0 }
    this.#byUid.set(uid, own)
    own.keys.set(key, kept)
    own.bytes += kept.bytes
    this.#bytes += kept.bytes
    this.#trim(uid, own)
  }

  #grow(uid: number, kept: Kept, bytes: number): void {
    const own = this.#byUid.get(uid)
    if (!own) return
    kept.bytes += bytes
    own.bytes += bytes
    this.#bytes += bytes
    this.#trim(uid, own)
  }

  /** What is under way is never forgotten: there are no more of these than there may be requests. */
  #trim(uid: number, own: OfUid): void {
    for (const [key, { isDone }] of own.keys) {
      if (own.keys.size <= KEYS_MAX && own.bytes <= BYTES_MAX) return
      if (isDone) this.#forget(uid, key)
    }
  }

  #forget(uid: number, key: string): void {
    const own = this.#byUid.get(uid)
    const kept = own?.keys.get(key)
    if (!own || !kept) return
    own.keys.delete(key)
    own.bytes -= kept.bytes
    this.#bytes -= kept.bytes
    if (own.keys.size === 0) this.#byUid.delete(uid)
  }

  #expire(): void {
    const now = Date.now()
    for (const [uid, { keys }] of this.#byUid)
      for (const [key, { at, isDone }] of keys) {
        if (now - at <= KEPT_MS) break
        if (isDone) this.#forget(uid, key)
      }
  }
}

function answerOf({ what, answer }: Kept, digest: string): Promise<unknown> {
  if (what !== digest) throw new Refusal(422, 'idempotency-key', 'this Idempotency-Key was used for another request')
  if (answer) return answer
  throw new Refusal(
    409,
    'idempotency-key',
    'the request with this Idempotency-Key is done, and its answer was too long to be kept; look at the context, and take a new key for a new request'
  )
}

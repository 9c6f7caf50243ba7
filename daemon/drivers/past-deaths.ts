/** Deaths of contexts, for the daemon after this one: who asks late hears from that one, too, how a context has ended. */
import type { Death } from './driver.js'

/** Numbered places that a later daemon finds, as long as it could find a context. */
export interface Places {
  /** Undefined: nothing has ever been written there. */
  read(place: number): string | undefined
  write(place: number, text: string): void
}

/** The last ones are kept. */
const PLACES = 4096

interface Stored extends Omit<Death, 'incarnation'> {
  incarnation: string
  /** How many were noted before. */
  number: number
}

export class PastDeaths {
  #past: readonly Death[]
  #number: number

  constructor(private readonly places: Places) {
    const found: Stored[] = []
    for (let place = 0; place < PLACES; place++) {
      const text = places.read(place)
      if (text === undefined) break
      const stored = parse(text)
      if (stored) found.push(stored)
    }
    found.sort((a, b) => a.number - b.number)
    this.#number = (found.at(-1)?.number ?? -1) + 1
    this.#past = found.map((stored) => ({ ...stored, incarnation: BigInt(stored.incarnation) }))
  }

  /** Those of earlier daemons, the oldest first. They are not kept any longer here. */
  take(): readonly Death[] {
    const past = this.#past
    this.#past = []
    return past
  }

  /** Before the context is gone: a daemon that is killed in between comes to the same end again. */
  note({ xid, result, owner, incarnation }: Omit<Death, 'at'>): void {
    const number = this.#number++
    const stored: Stored = { xid, result, owner, incarnation: String(incarnation), at: Date.now(), number }
    this.places.write(number % PLACES, JSON.stringify(stored))
  }
}

/** Undefined for one that was cut off in the middle of a write. */
function parse(text: string): Stored | undefined {
  try {
    const stored = JSON.parse(text) as Stored
    BigInt(stored.incarnation)
    return stored
  } catch {
    return undefined
  }
}

/** What all captured output together may take of the daemon. A launcher keeps its own until there is room for it. */

/** Bytes, until --capture-memory says otherwise. */
const DEFAULT_CAPTURE_MEMORY = 32 * 1024 * 1024

interface Waiting {
  bytes: number
  granted: () => void
}

/** Room for one process's output, until it is given back. */
export interface Claim {
  readonly isGranted: boolean
  /** Any number of times. */
  release: () => void
}

export class CaptureMemory {
  limit = DEFAULT_CAPTURE_MEMORY
  #used = 0
  readonly #waiting = new Set<Waiting>()

  /** @param granted called later, where there is no room now */
  claim(bytes: number, granted: () => void): Claim {
    const waiting = { bytes, granted }
    const isGranted = this.#waiting.size === 0 && this.#fits(bytes)
    if (isGranted) this.#used += bytes
    else this.#waiting.add(waiting)
    let isReleased = false
    const release = () => {
      if (isReleased) return
      isReleased = true
      if (!this.#waiting.delete(waiting)) this.#used -= bytes
      this.#grant()
    }
    return { isGranted, release }
  }

  /** One alone always fits, so that each has its turn. */
  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.limit
  }

  #grant(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.bytes)) return
      this.#waiting.delete(waiting)
      this.#used += waiting.bytes
      waiting.granted()
    }
  }
}

/** That of this process. */
export const captureMemory = new CaptureMemory()

/** What the clients of a daemon know of contexts that they all change at once: only what no other request can have undone. */

interface Entry {
  /** What a client was told last; undefined: nobody can know. */
  exists: boolean | undefined
  persistent: boolean
  paused: boolean | undefined
  /** Processes that nobody has tried to end. */
  pids: Set<number>
  /** Requests under way. One that its daemon has never answered may have been done or not. */
  pending: number
  epoch: number
}

const kinds = {
  /** Makes or ends a context. */
  life: { ofLife: true, ofPause: true, ofProcesses: true },
  kill: { ofLife: false, ofPause: false, ofProcesses: true },
  pause: { ofLife: false, ofPause: true, ofProcesses: false },
  start: { ofLife: false, ofPause: false, ofProcesses: false }
}

export class Ledger {
  readonly #entries = new Map<number, Entry>()

  of(xid: number): Readonly<Entry> {
    return this.#entry(xid)
  }

  #entry(xid: number): Entry {
    let entry = this.#entries.get(xid)
    if (!entry) {
      entry = { exists: false, persistent: false, paused: undefined, pids: new Set(), pending: 0, epoch: 0 }
      this.#entries.set(xid, entry)
    }
    return entry
  }

  /**
   * A request is sent. Call what this returns when it is answered, with what is known then: it is taken down when no
   * other request for the context was under way meanwhile.
   */
  begin(xid: number, kind: keyof typeof kinds): (known: Partial<Entry> & { pid?: number }) => void {
    const entry = this.#entry(xid)
    const { ofLife, ofPause, ofProcesses } = kinds[kind]
    const isAlone = entry.pending === 0
    const epoch = ++entry.epoch
    entry.pending++
    // A context that is not persistent ends with its processes.
    if (ofLife || (kind === 'kill' && !entry.persistent)) entry.exists = undefined
    if (ofPause) entry.paused = undefined
    if (ofProcesses) entry.pids.clear()
    return ({ pid, ...known }) => {
      entry.pending--
      if (!isAlone || entry.epoch !== epoch) return
      Object.assign(entry, known)
      if (pid !== undefined) entry.pids.add(pid)
    }
  }

  [Symbol.iterator]() {
    return this.#entries[Symbol.iterator]()
  }
}

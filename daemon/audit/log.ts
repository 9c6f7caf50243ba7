/**
 * The audit log: one chained JSON line a write or denial. What a write needs of the disk is there before the write is
 * done: a slot that says what was begun, and room for the line that says how it ended.
 */
import { CallError } from '../drivers/errors.js'
import { Chain, LINE_ROOM, type Line } from './chain.js'
import type { AuditRecord, Head, Intent, LogRecord } from './record.js'

/** What happens to a write when its line cannot be written. */
export type AuditFailure = 'refuse' | 'continue'

/** A write whose line could not be written was not done. */
export class AuditUnwritable extends Error {
  override readonly name = 'AuditUnwritable'

  constructor(reason = 'unknown') {
    super(`the audit log cannot be written (${reason})`)
  }
}

/** A write under way. */
export interface Begun {
  readonly intent: Intent
  /** Of its line, bytes. */
  readonly room: number
  readonly slot: number | undefined
}

export interface AuditStatus extends Head {
  /** Of writing and syncing, since the daemon was started. */
  failures: number
}

/** From the first line that could not be written until lines can be written again. */
interface Trouble {
  missing: number
  since: string
  reason: string
}

export class AuditLog {
  readonly #chain: Chain
  /** Written as soon as they can be. */
  #owed: Line[] = []
  #trouble: Trouble | undefined
  #failures = 0

  /** @param onError told of every beginning of trouble, and of its end */
  constructor(
    readonly path: string,
    readonly onFailure: AuditFailure = 'refuse',
    public onError: (message: string, error?: unknown) => void = () => undefined
  ) {
    this.#chain = new Chain(path, (message, error) => {
      this.onError(message, error)
    })
  }

  /**
   * Takes the chain up where it ended; says in it what a crash has left. On a disk that is full that waits.
   * @throws Error or CallError when the file cannot be opened, or another daemon writes it
   */
  open(): void {
    if (this.#chain.isOpen) return
    const { lost, interrupted } = this.#chain.open()
    this.#owed = [...lost, ...this.#owed, ...interrupted]
    this.#try(() => {
      this.#flush()
    }, 0)
  }

  /**
   * To be called before a write is done.
   * @param bytes that the client sent, of which the line may show all
   * @throws AuditUnwritable when its line could not be, unless writes go on without
   */
  begin(intent: Intent, bytes: number): Begun {
    const room = LINE_ROOM + 2 * (bytes + intent.path.length)
    let slot: number | undefined
    const isReady = this.#try(
      () => {
        this.#chain.reserve(room)
        if (this.#trouble || this.#owed.length > 0 || this.#chain.isTorn) this.#flush()
        slot = this.#chain.begin(intent, room)
      },
      this.onFailure === 'refuse' ? 1 : 0
    )
    if (isReady) return { intent, room, slot }
    if (this.onFailure === 'continue') return { intent, room: 0, slot: undefined }
    throw new AuditUnwritable(this.#trouble?.reason)
  }

  /**
   * The line of a write that was begun. One that is done and cannot be written is owed: nothing else is begun before it
   * is there.
   * @param record of this write; when it was begun is added
   * @returns whether it is written
   */
  end({ intent, room, slot }: Begun, record: AuditRecord): boolean {
    this.#chain.release(room)
    record.begun = intent.begun
    const line: Line = { record, slot }
    const isOwed = this.onFailure === 'refuse'
    const isWritten = this.#try(
      () => {
        // What else is to be written may find no room, but this line has its own, if it has any.
        if (room === 0) this.#flush()
        else if (this.#trouble) this.isWritable()
        this.#chain.write([line], room || LINE_ROOM)
      },
      isOwed ? 0 : 1
    )
    if (!isWritten && isOwed) this.#owed.push(line)
    return isWritten
  }

  /** The line of what was not done, or not by us; before open() it waits for that. @returns whether it is written */
  append(record: LogRecord): boolean {
    if (!this.#chain.isOpen) {
      this.#owed.push({ record })
      return true
    }
    return this.#try(() => {
      this.#flush()
      this.#chain.write([{ record }], LINE_ROOM)
    }, 1)
  }

  /** Whether a write that began now would be sure of its line. */
  isWritable(): boolean {
    return this.#try(() => {
      this.#flush()
    }, 0)
  }

  get status(): AuditStatus {
    return { ...this.#chain.head, failures: this.#failures + this.#chain.failures }
  }

  /** Goes on in a new file when the old one was renamed. The old one stays in use when that fails. @throws CallError */
  reopen(): Promise<void> {
    return this.#chain.reopen(() => this.isWritable()) // writes under way have their room in the new file then
  }

  async close(): Promise<void> {
    this.isWritable() // what is owed has its last chance
    await this.#chain.close()
  }

  /** What is to be written before anything else: that lines are missing, and what is owed. */
  #flush(): void {
    this.#chain.reserve(LINE_ROOM)
    this.#chain.closeTorn()
    const missing: Line[] = this.#trouble?.missing ? [{ record: { event: 'gap', ...this.#trouble } }] : []
    const lines = [...missing, ...this.#owed]
    if (lines.length > 0) this.#chain.write(lines, LINE_ROOM)
    if (this.#trouble) this.onError(`the audit log can be written again; lines missing: ${this.#trouble.missing}`)
    this.#owed = []
    this.#trouble = undefined
  }

  /**
   * @param missing lines that are lost when it fails
   * @returns whether it succeeds
   */
  #try(work: () => void, missing: number): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.#failures++
      const reason = error instanceof CallError ? error.code : String(error)
      // Said once, not for each line: a full disk must not fill the journal as well.
      if (!this.#trouble) this.onError('the audit log cannot be written', error)
      this.#trouble ??= { missing: 0, since: new Date().toISOString(), reason }
      this.#trouble.missing += missing
      return false
    }
  }
}

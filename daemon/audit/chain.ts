/** The lines of the audit log on the disk, each chained to the one before, and the note beside them of where the chain ends. */
import { basename, dirname, join } from 'node:path'
import { LogFile } from './file.js'
import { Pending } from './pending.js'
import { seal, START, unseal, type Head, type Intent, type LogRecord, type Unsealed } from './record.js'

/** Of a line without what the client sends: its program's path, calls, changed words before and after. Bytes. */
export const LINE_ROOM = 64 * 1024

/** Of a torn line, bytes. */
const TORN_KEPT = 64 * 1024

/** A record that is to be written, and the slot that is free then. */
export interface Line {
  record: LogRecord
  slot?: number | undefined
}

export class Chain {
  #file: LogFile | undefined
  #pending: Pending | undefined
  #head = START
  /** Room kept for the lines of writes under way, bytes. */
  #promised = 0
  /** Where a torn line begins that is still to be closed off. */
  #torn: number | undefined
  #failures = 0

  /** @param onError told of what is found wrong, and of syncing that fails */
  constructor(
    readonly path: string,
    private readonly onError: (message: string, error?: unknown) => void
  ) {}

  get isOpen(): boolean {
    return this.#pending !== undefined
  }

  get isTorn(): boolean {
    return this.#torn !== undefined
  }

  get head(): Head {
    return this.#head
  }

  /** Of syncing, and of the note. */
  get failures(): number {
    return this.#failures
  }

  /**
   * Takes the chain up where it ended.
   * @returns what is to be said of it before all else, that lines are lost, and after what is owed already
   * @throws Error or CallError when the file cannot be opened, or another daemon writes it
   */
  open(): { lost: Line[]; interrupted: Line[] } {
    const pending = (this.#pending = new Pending(join(dirname(this.path), `.${basename(this.path)}.pending`)))
    try {
      this.#file = this.#openFile()
    } catch (error) {
      pending.close()
      this.#pending = undefined
      throw error
    }
    const lost: Line[] = []
    const interrupted: Line[] = []
    const last = this.#adopt()
    this.#head = this.#resume(pending.head ?? START, last?.head, lost)
    for (const { slot, intent } of pending.left) {
      // Killed after the line and before the end of the slot.
      const isWritten = last?.record.request_id === intent.request_id && last.record.begun === intent.begun
      if (isWritten) pending.end(slot)
      else interrupted.push({ record: { event: 'interrupted', ...intent }, slot })
    }
    return { lost, interrupted }
  }

  /** Where the chain goes on, by what was noted beside the log and what is in it. */
  #resume(noted: Head, last: Head | undefined, lost: Line[]): Head {
    // An empty file follows one that was rotated away.
    if (!last || (last.seq === noted.seq && last.sha256 === noted.sha256)) return noted
    if (last.seq > noted.seq) return last
    const lines = noted.seq - last.seq
    this.onError(
      lines > 0
        ? `the last ${lines} lines of the audit log were written and are gone`
        : 'the last line of the audit log is not the one that was written'
    )
    if (lines === 0) return noted
    lost.push({ record: { event: 'lost', lines } }) // it is what has that number
    return { seq: noted.seq, sha256: last.sha256 }
  }

  /** @throws when the disk has no such room beside what is promised, bytes */
  reserve(room: number): void {
    this.#whole().file.reserve(this.#promised + room)
  }

  /** After reserve(), which looks at the file. Notes what is about to be done, and keeps that room for its line. @returns the slot of the note */
  begin(intent: Intent, room: number): number | undefined {
    const slot = this.#opened().pending.begin(intent)
    this.#promised += room
    return slot
  }

  /** The room of a line that is about to be written may be used. */
  release(room: number): void {
    this.#promised -= room
  }

  /**
   * All of these lines or none.
   * @param room that is theirs or can still be had, bytes
   */
  write(lines: Line[], room: number): void {
    const { file, pending } = this.#whole()
    let head = this.#head
    let text = ''
    for (const { record } of lines) {
      const sealed = seal(record, head)
      text += sealed.line
      head = sealed.head
    }
    file.reserve(this.#promised + Math.max(room, Buffer.byteLength(text)))
    file.append(text)
    this.#advance(head, pending, lines)
  }

  /** After reserve(), which looks at the file. What a crash has left after the last whole line becomes a line of its own. */
  closeTorn(): void {
    const start = this.#torn
    if (start === undefined) return
    const { file, pending } = this.#opened()
    const bytes = file.size - start
    const base64 = file.read(start, Math.min(bytes, TORN_KEPT)).toString('base64')
    const { line, head } = seal({ event: 'torn', bytes, base64 }, this.#head)
    file.replace(start, line)
    this.#torn = undefined
    this.#advance(head, pending, [])
  }

  /**
   * Goes on in a new file when the old one was renamed. The old one stays in use when that fails.
   * @param ready called before the old one is closed
   * @throws CallError
   */
  async reopen(ready: () => void): Promise<void> {
    const old = this.#file
    if (!old) return
    const file = this.#openFile()
    if (file.isSame(old)) {
      await file.close(false)
      return
    }
    this.#file = file
    this.#adopt()
    ready()
    await old.close()
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
    this.#pending?.close()
  }

  #openFile(): LogFile {
    return new LogFile(this.path, this.#onSyncError)
  }

  readonly #onSyncError = (error: unknown): void => {
    this.#failures++
    this.onError('lines of the audit log may not be on the disk', error)
  }

  /** The last record of the file, where there is one. Notes what a crash has left after the last whole line. */
  #adopt(): Unsealed | undefined {
    if (!this.#file) return undefined
    const { line, end } = this.#file.tail()
    this.#torn = end < this.#file.size ? end : undefined
    const last = line && unseal(line)
    if (typeof last !== 'string') return last
    this.onError(`the last line of the audit log ${last}; the log goes on after it`)
    return undefined
  }

  #opened(): { file: LogFile; pending: Pending } {
    const [file, pending] = [this.#file, this.#pending]
    if (!file || !pending) throw new Error('the audit log is closed')
    return { file, pending }
  }

  /** What was removed or truncated behind our back is made again; the numbers go on, so the verifier sees it. */
  #whole(): { file: LogFile; pending: Pending } {
    const { file, pending } = this.#opened()
    if (file.isWhole()) return { file, pending }
    this.onError(`the audit log ${this.path} was removed or truncated; a new one is begun`)
    const fresh = this.#openFile()
    this.#file = fresh
    this.#adopt()
    file.close(false).catch(this.#onSyncError)
    return { file: fresh, pending }
  }

  /** The lines are written, whatever becomes of the note of it. */
  #advance(head: Head, pending: Pending, lines: Line[]): void {
    this.#head = head
    try {
      pending.set(head)
      for (const { slot } of lines) if (slot !== undefined) pending.end(slot)
    } catch (error) {
      this.#failures++
      this.onError(`${pending.path} cannot be written`, error)
    }
  }
}

/**
 * The audit log: one chained JSON line a write or denial. What a write needs of the disk is there before the write is
 * done: a slot that says what was begun, and room for the line that says how it ended.
 */
import { basename, dirname, join } from 'node:path'
import { CallError } from '../drivers/errors.js'
import { LogFile } from './file.js'
import { Pending } from './pending.js'
import {
  seal,
  START,
  unseal,
  type AuditRecord,
  type Head,
  type Intent,
  type LogRecord,
  type Unsealed
} from './record.js'

/** What happens to a write when its line cannot be written. */
export type AuditFailure = 'refuse' | 'continue'

/** Of a line without what the client sends: its program's path, calls, changed words before and after. Bytes. */
const LINE_ROOM = 64 * 1024

/** Of a torn line, bytes. */
const TORN_KEPT = 64 * 1024

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

/** A record that is written as soon as one can be, and the slot that is free then. */
interface Owed {
  record: LogRecord
  slot?: number | undefined
}

export class AuditLog {
  #file: LogFile | undefined
  #pending: Pending | undefined
  #head = START
  /** Room kept for the lines of writes under way, bytes. */
  #promised = 0
  #owed: Owed[] = []
  /** Where a torn line begins that is still to be closed off. */
  #torn: number | undefined
  #trouble: Trouble | undefined
  #failures = 0

  /** @param onError told of every beginning of trouble, and of its end */
  constructor(
    readonly path: string,
    readonly onFailure: AuditFailure = 'refuse',
    public onError: (message: string, error?: unknown) => void = () => undefined
  ) {}

  /**
   * Takes the chain up where it ended; says in it what a crash has left. On a disk that is full that waits.
   * @throws Error or CallError when the file cannot be opened, or another daemon writes it
   */
  open(): void {
    if (this.#file) return
    this.#pending = new Pending(join(dirname(this.path), `.${basename(this.path)}.pending`))
    try {
      this.#file = this.#openFile()
    } catch (error) {
      this.#pending.close()
      throw error
    }
    const last = this.#adopt()
    this.#head = this.#resume(this.#pending.head ?? START, last?.head)
    for (const { slot, intent } of this.#pending.left) {
      // Killed after the line and before the end of the slot.
      const isWritten = last?.record.request_id === intent.request_id && last.record.begun === intent.begun
      if (isWritten) this.#pending.end(slot)
      else this.#owed.push({ record: { event: 'interrupted', ...intent }, slot })
    }
    this.#try(() => {
      this.#flush()
    }, 0)
  }

  /** Where the chain goes on, by what was noted beside the log and what is in it. */
  #resume(noted: Head, last: Head | undefined): Head {
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
    this.#owed.unshift({ record: { event: 'lost', lines } }) // it is what has that number
    return { seq: noted.seq, sha256: last.sha256 }
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
        const { file, pending } = this.#whole()
        file.reserve(this.#promised + room)
        if (this.#trouble || this.#owed.length > 0 || this.#torn !== undefined) this.#flush()
        slot = pending.begin(intent)
        this.#promised += room
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
    this.#promised -= room
    record.begun = intent.begun
    const line: Owed = { record, slot }
    const isOwed = this.onFailure === 'refuse'
    const isWritten = this.#try(
      () => {
        // What else is to be written may find no room, but this line has its own, if it has any.
        if (room === 0) this.#flush()
        else if (this.#trouble) this.isWritable()
        this.#write([line], room || LINE_ROOM)
      },
      isOwed ? 0 : 1
    )
    if (!isWritten && isOwed) this.#owed.push(line)
    return isWritten
  }

  /** The line of what was not done, or not by us; before open() it waits for that. @returns whether it is written */
  append(record: LogRecord): boolean {
    if (!this.#pending) {
      this.#owed.push({ record })
      return true
    }
    return this.#try(() => {
      this.#flush()
      this.#write([{ record }], LINE_ROOM)
    }, 1)
  }

  /** Whether a write that began now would be sure of its line. */
  isWritable(): boolean {
    return this.#try(() => {
      this.#flush()
    }, 0)
  }

  get status(): AuditStatus {
    return { ...this.#head, failures: this.#failures }
  }

  /** Goes on in a new file when the old one was renamed. The old one stays in use when that fails. @throws CallError */
  async reopen(): Promise<void> {
    const old = this.#file
    if (!old) return
    const file = this.#openFile()
    if (file.isSame(old)) {
      await file.close(false)
      return
    }
    this.#file = file
    this.#adopt()
    this.isWritable() // writes under way have their room in this file now
    await old.close()
  }

  async close(): Promise<void> {
    this.isWritable() // what is owed has its last chance
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

  /** What was removed or truncated behind our back is made again; the numbers go on, so the verifier sees it. */
  #whole(): { file: LogFile; pending: Pending } {
    const [file, pending] = [this.#file, this.#pending]
    if (!file || !pending) throw new Error('the audit log is closed')
    if (file.isWhole()) return { file, pending }
    this.onError(`the audit log ${this.path} was removed or truncated; a new one is begun`)
    const fresh = this.#openFile()
    this.#file = fresh
    this.#adopt()
    file.close(false).catch(this.#onSyncError)
    return { file: fresh, pending }
  }

  /** What is to be written before anything else: that lines are missing, and what is owed. */
  #flush(): void {
    const { file } = this.#whole()
    file.reserve(this.#promised + LINE_ROOM)
    if (this.#torn !== undefined) this.#closeOff(file, this.#torn)
    const missing: Owed[] = this.#trouble?.missing ? [{ record: { event: 'gap', ...this.#trouble } }] : []
    const lines = [...missing, ...this.#owed]
    if (lines.length > 0) this.#write(lines, LINE_ROOM)
    if (this.#trouble) this.onError(`the audit log can be written again; lines missing: ${this.#trouble.missing}`)
    this.#owed = []
    this.#trouble = undefined
  }

  /**
   * All of these lines or none.
   * @param room that is theirs or can still be had, bytes
   */
  #write(lines: Owed[], room: number): void {
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

  #closeOff(file: LogFile, start: number): void {
    const bytes = file.size - start
    const base64 = file.read(start, Math.min(bytes, TORN_KEPT)).toString('base64')
    const { line, head } = seal({ event: 'torn', bytes, base64 }, this.#head)
    file.replace(start, line)
    this.#torn = undefined
    this.#advance(head, this.#whole().pending, [])
  }

  /** The lines are written, whatever becomes of the note of it. */
  #advance(head: Head, pending: Pending, lines: Owed[]): void {
    this.#head = head
    try {
      pending.set(head)
      for (const { slot } of lines) if (slot !== undefined) pending.end(slot)
    } catch (error) {
      this.#failures++
      this.onError(`${pending.path} cannot be written`, error)
    }
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

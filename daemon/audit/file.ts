/** The file of an audit log: room is reserved ahead, a line is appended whole or not at all. */
import {
  close,
  fdatasync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
  closeSync
} from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { withErrno } from '../drivers/errors.js'
import { native } from '../drivers/native.js'

/** Reserved at once, bytes: few calls, and little to release when the file is closed. */
const CHUNK = 256 * 1024

/** Written lines are on their way to the disk after so long, milliseconds. */
const SYNC_DELAY_MS = 100

const BLOCK = 64 * 1024

/** No line is longer, bytes. */
export const LINE_MAX = 1024 * 1024
const LINE_FEED = 0x0a

const datasync = promisify(fdatasync)

export class LogFile {
  readonly #fd: number
  readonly #ino: number
  readonly #dev: number
  /** Where the reserved room ends. */
  #reserved = 0
  #size = 0
  #timer: NodeJS.Timeout | undefined
  #syncing: Promise<void> = Promise.resolve()

  /**
   * Makes the directory (0750) and the file (0640) when they are missing.
   * @param onSyncError told when lines may not be on the disk
   */
  constructor(
    readonly path: string,
    readonly onSyncError: (error: unknown) => void
  ) {
    this.#fd = withErrno('open', path, () => {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
      return openSync(path, 'a+', 0o640)
    })
    const found = fstatSync(this.#fd)
    if (!found.isFile()) {
      closeSync(this.#fd)
      throw new Error(`the audit log ${path} is not a regular file`)
    }
    this.#size = found.size
    this.#ino = found.ino
    this.#dev = found.dev
  }

  /** False when the file was removed, or truncated by somebody else: what is appended from now on would be lost. */
  isWhole(): boolean {
    const size = native.sizeUnlessRemoved(this.#fd) // asked twice a write, and fstatSync makes dates of all it has
    if (size < this.#size) return false
    this.#size = size
    return true
  }

  isSame(other: LogFile): boolean {
    return this.#ino === other.#ino && this.#dev === other.#dev
  }

  /** Bytes. */
  get size(): number {
    return this.#size
  }

  /** Makes sure that so many more bytes can be appended. @throws CallError such as ENOSPC */
  reserve(bytes: number): void {
    if (this.#size + bytes <= this.#reserved) return
    try {
      this.#reserve(bytes + CHUNK)
    } catch {
      this.#reserve(bytes) // there may be room for this much still
    }
  }

  #reserve(bytes: number): void {
    // Where the file system cannot, a write may yet fail; what was done then is owed to the log.
    if (native.reserve(this.#fd, this.#size, bytes)) this.#reserved = this.#size + bytes
  }

  /** All of it or nothing. @throws CallError such as ENOSPC */
  append(text: string): void {
    const data = Buffer.from(text)
    const start = this.#size
    try {
      this.#write(this.#fd, data, null)
    } catch (error) {
      if (fstatSync(this.#fd).size > start) this.#truncate(start)
      throw error
    }
    this.#size = start + data.length
    this.#syncSoon()
  }

  /** A short write is a disk that is full; the next one says so. */
  #write(fd: number, data: Buffer, position: number | null): void {
    withErrno('write', this.path, () => {
      for (let done = 0; done < data.length;)
        done += writeSync(fd, data, done, data.length - done, position === null ? null : position + done)
    })
  }

  /** Writes over what is there from `start` on, and ends the file after it. @throws CallError such as ENOSPC */
  replace(start: number, text: string): void {
    const data = Buffer.from(text)
    // A descriptor that appends writes at the end, whatever the position.
    const fd = withErrno('open', this.path, () => openSync(`/proc/self/fd/${this.#fd}`, 'r+'))
    try {
      native.reserve(fd, start, data.length)
      this.#write(fd, data, start)
      this.#truncate(start + data.length)
    } finally {
      closeSync(fd)
    }
    this.#syncSoon()
  }

  #truncate(size: number): void {
    withErrno('ftruncate', this.path, () => {
      ftruncateSync(this.#fd, size)
    })
    this.#size = size
    this.#reserved = 0 // released with the rest
  }

  /** The last whole line, without its line feed, and where what follows it begins. */
  tail(): { line: Buffer | undefined; end: number } {
    const last = this.#lineFeedBefore(this.#size)
    if (last < 0) return { line: undefined, end: 0 }
    const start = this.#lineFeedBefore(last) + 1
    return { line: this.read(start, Math.min(last - start, LINE_MAX)), end: last + 1 }
  }

  /** Position of the last line feed before `end`; -1 for none. */
  #lineFeedBefore(end: number): number {
    for (let to = end; to > 0; to -= BLOCK) {
      const from = Math.max(0, to - BLOCK)
      const found = this.read(from, to - from).lastIndexOf(LINE_FEED)
      if (found >= 0) return from + found
    }
    return -1
  }

  read(start: number, length: number): Buffer {
    const data = Buffer.alloc(length)
    const got = withErrno('read', this.path, () => readSync(this.#fd, data, 0, length, start))
    return data.subarray(0, got)
  }

  /** One at a time and off the event loop: what is written during a sync is the next one's. */
  #syncSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#syncing = this.#syncing
        .then(() => {
          this.#timer = undefined
          return datasync(this.#fd)
        })
        .catch(this.onSyncError)
    }, SYNC_DELAY_MS).unref()
  }

  /**
   * Resolves when the lines are on the disk.
   * @param isLast releases what is reserved and not used; not while another descriptor writes to the same file
   */
  async close(isLast = true): Promise<void> {
    clearTimeout(this.#timer)
    await this.#syncing
    try {
      if (isLast && this.#reserved > this.#size) ftruncateSync(this.#fd, this.#size)
      await datasync(this.#fd)
    } catch (error) {
      this.onSyncError(error)
    }
    await promisify(close)(this.#fd)
  }
}

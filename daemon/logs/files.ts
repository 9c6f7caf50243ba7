/** Logs in files of a directory, written by launchers: native/launcher/log/file.cc. */
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, unlinkSync } from 'node:fs'
import { open, readdir, readFile, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CallError, withErrno } from '../drivers/errors.js'
import type { LogTarget } from '../drivers/launcher/order.js'
import { CHUNK, notice, pick, startOfTail, wantedBy, wholeLines, type Wanted } from './lines.js'
import type { Following, GuestLogs, LogOwner, LogQuery } from './logs.js'

export interface LogFileOptions {
  directory: string
  /** Bytes of one file. */
  size: number
  /** The current one and those before it. */
  count: number
  /** An exclusive lock on this descriptor; false when somebody else has it. */
  tryLock: (fd: number) => boolean
  /** The number that a launcher has given the file of this descriptor; undefined where it has none. */
  numberOf?: (fd: number) => number | undefined
}

/** Looked at, not watched: guests can use up the inotify instances of uid 0, and a busy one would wake us for each write. */
const LOOK_AGAIN_MS = 50
/** After the end of a context that an earlier daemon had started its last lines may still be on their way. */
const LAST_LOOKS = 3
/** Of dead contexts, until their xids are used again. */
const DEAD_BYTES = 1 << 30
const DEAD_CONTEXTS = 1000
const SWEEP_DELAY_MS = 1000
const OPEN_TRIES = 20

/** A file of a log, open, and how far it has been read. */
interface Piece {
  file: FileHandle
  inode: bigint
  /** Other than an inode's number, no later file has it. */
  id: string
  size: number
  at: number
}

interface Newer {
  pieces: Piece[]
  /** All that are there now. */
  seen: Set<string>
  /** There was another one between. */
  isGap: boolean
}

const isMissing = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOENT'
const orMissing = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })

export class LogFiles implements GuestLogs {
  readonly target: LogTarget
  readonly #directory: string
  readonly #count: number
  /** Files of which the file system does not know when they were made. */
  #nameless = 0
  readonly #numberOf: (fd: number) => number | undefined
  readonly #lock: number
  readonly #boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  #sweeping: NodeJS.Timeout | undefined

  /** @throws CallError naming what cannot be made or written, or that another daemon uses the directory */
  constructor({ directory, size, count, tryLock, numberOf = () => undefined }: LogFileOptions) {
    this.#directory = directory
    this.#count = count
    this.#numberOf = numberOf
    withErrno('mkdir', directory, () => mkdirSync(directory, { recursive: true, mode: 0o750 }))
    const lockPath = join(directory, '.lock')
    this.#lock = withErrno('open', lockPath, () => openSync(lockPath, 'w', 0o640))
    if (!tryLock(this.#lock)) {
      closeSync(this.#lock)
      throw new CallError('EAGAIN', 'fcntl', `another contextd uses ${directory}; give this one its own --log-dir`)
    }
    this.target = {
      fd: withErrno('open', directory, () => openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)),
      fieldsOf: ({ xid, incarnation }) => ({
        log: xid,
        log_owner: `${this.#boot} ${incarnation}`,
        log_size: size,
        log_files: count
      })
    }
  }

  read(owner: LogOwner, query: LogQuery, following: Following): AsyncIterable<Buffer> {
    return this.#lines(owner, query, following)
  }

  forget(xid: number): void {
    if (existsSync(this.#ownerPath(xid)) || existsSync(this.#path(xid, 0))) this.#remove(xid)
  }

  died(isThere: (xid: number) => boolean): void {
    this.#sweeping ??= setTimeout(() => {
      this.#sweeping = undefined
      void this.sweep(isThere).catch(() => undefined) // the next death tries again
    }, SWEEP_DELAY_MS).unref()
  }

  close(): void {
    clearTimeout(this.#sweeping)
    closeSync(this.target.fd)
    closeSync(this.#lock)
  }

  /** Removes logs of dead contexts, those that were written to last at last, until the rest is within its bounds. */
  async sweep(isThere: (xid: number) => boolean): Promise<void> {
    const dead = new Map<number, { bytes: number; written: number }>()
    for (const name of await readdir(this.#directory)) {
      const xid = Number(/^\.?(\d+)(\.log(\.\d+)?)?$/.exec(name)?.[1])
      if (Number.isNaN(xid) || isThere(xid)) continue
      const info = await orMissing(stat(join(this.#directory, name)))
      const before = dead.get(xid) ?? { bytes: 0, written: 0 }
      if (info)
        dead.set(xid, {
          bytes: before.bytes + info.size,
          written: Math.max(before.written, name.includes('log') ? info.mtimeMs : 0)
        })
    }
    let bytes = 0
    let contexts = 0
    for (const [xid, log] of [...dead].sort(([, a], [, b]) => b.written - a.written)) {
      bytes += log.bytes
      if ((++contexts > DEAD_CONTEXTS || bytes > DEAD_BYTES) && !isThere(xid)) this.#remove(xid)
    }
  }

  /** First what says whose it is: a launcher that still writes finds out (log_file.cc), and no reader believes the rest. */
  #remove(xid: number): void {
    const remove = (path: string) => {
      try {
        unlinkSync(path)
        return true
      } catch (error) {
        if (!isMissing(error)) throw error
        return false
      }
    }
    remove(this.#ownerPath(xid))
    remove(this.#path(xid, 0))
    for (let number = 1; remove(this.#path(xid, number)); number++);
  }

  #path(xid: number, number: number): string {
    return join(this.#directory, number === 0 ? `${xid}.log` : `${xid}.log.${number}`)
  }

  #ownerPath(xid: number): string {
    return join(this.#directory, `.${xid}`)
  }

  async *#lines(owner: LogOwner, query: LogQuery, { isThere, signal, placed }: Following): AsyncGenerator<Buffer> {
    const wanted = wantedBy(query)
    const pieces = await this.#open(owner)
    let seen = new Set(pieces.map(({ id }) => id))
    try {
      if (query.tail !== undefined) await skipToTail(pieces, query.tail, wanted)
      placed?.()
      for (let quiet = 0; ;) {
        const isOver = !query.follow || signal.aborted || !isThere()
        let read = 0
        for (const piece of pieces)
          for await (const block of rest(piece)) {
            read += block.length
            const lines = pick(block, wanted)
            if (lines.length > 0) yield lines
            if (signal.aborted) return
          }
        if (!query.follow || (isOver && ++quiet > LAST_LOOKS)) return
        const last = pieces.at(-1)
        const newer = await this.#newer(owner, last, seen)
        if (newer) {
          seen = newer.seen
          pieces.push(...newer.pieces)
          // Nobody writes to the one before any more; what came until then goes first.
          if (last)
            for await (const block of rest(last)) {
              const lines = pick(block, wanted)
              if (lines.length > 0) yield lines
            }
          if (newer.isGap) yield notice('lines are missing here: the log was rotated faster than it was read')
          continue
        }
        for (const old of pieces.splice(0, pieces.length - 1)) await old.file.close()
        if (read < CHUNK) await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      for (const piece of pieces) await piece.file.close()
    }
  }

  /**
   * The files that have come since this one, open; undefined when it is the current one still.
   * @param seen files that have been read, which may have been renamed
   */
  async #newer(owner: LogOwner, last: Piece | undefined, seen: ReadonlySet<string>): Promise<Newer | undefined> {
    const current = await orMissing(stat(this.#path(owner.xid, 0), { bigint: true }))
    if (!current) return undefined
    if (current.ino === last?.inode) {
      if (current.size < last.at) last.at = 0 // somebody has emptied it
      return undefined
    }
    const pieces = await this.#open(owner)
    if (pieces.length === 0) return undefined
    const all = new Set(pieces.map(({ id }) => id))
    // As long as it is open no other has its inode.
    const isLast = ({ inode }: Piece) => inode === last?.inode
    const isKnown = pieces.some(isLast)
    const known = pieces.findLastIndex((piece) => isLast(piece) || seen.has(piece.id))
    for (const piece of pieces.splice(0, known + 1)) await piece.file.close()
    return { pieces, seen: all, isGap: !isKnown && (await this.#isGap(last, pieces[0])) }
  }

  /** Whether there was a file between these two. Where files have no numbers, there may have been. */
  async #isGap(last: Piece | undefined, next: Piece | undefined): Promise<boolean> {
    if (!last || !next) return false
    const before = this.#numberOf(last.file.fd)
    if (before === undefined) return true
    // A new file gets its number a moment after its name; one that another program has made gets none.
    for (let tries = 1; this.#numberOf(next.file.fd) === undefined && tries < OPEN_TRIES; tries++) await sleep(1)
    return (this.#numberOf(next.file.fd) ?? before + 1) !== before + 1
  }

  /** The files of this context's log, the oldest first; none when they are another's. */
  async #open(owner: LogOwner): Promise<Piece[]> {
    for (let tries = 1; ; tries++) {
      const pieces: Piece[] = []
      let isWhole = true
      try {
        // The newest first and up to the last number: files move up, one after the other, while we look. One that we
        // meet twice, or another one in the first place, tells that they did.
        for (let number = 0; number < this.#count; number++) {
          const file = await orMissing(open(this.#path(owner.xid, number), 'r'))
          if (!file) continue
          const { ino, birthtimeNs, size } = await file.stat({ bigint: true })
          if (pieces.some(({ inode }) => inode === ino)) {
            isWhole = false
            await file.close()
          } else
            pieces.unshift({
              file,
              inode: ino,
              id: `${ino} ${birthtimeNs || ++this.#nameless}`,
              size: Number(size),
              at: 0
            })
        }
        const current = await orMissing(stat(this.#path(owner.xid, 0), { bigint: true }))
        if (current && current.ino !== pieces.at(-1)?.inode) isWhole = false
        // A log that is rotated all the time is never seen whole.
        if (!isWhole && tries < OPEN_TRIES) continue
        return (await this.#isOwner(owner)) ? pieces.splice(0) : []
      } finally {
        for (const piece of pieces) await piece.file.close()
      }
    }
  }

  async #isOwner({ xid, incarnation }: LogOwner): Promise<boolean> {
    return (await orMissing(readFile(this.#ownerPath(xid), 'utf8'))) === `${this.#boot} ${incarnation}`
  }
}

/** What is in the file from where it was read last. */
async function* rest(piece: Piece): AsyncGenerator<Buffer> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK)
    const { bytesRead } = await piece.file.read(buffer, 0, CHUNK, piece.at)
    const size = wholeLines(buffer.subarray(0, bytesRead))
    if (size === 0) return
    piece.at += size
    yield buffer.subarray(0, size)
    if (bytesRead < CHUNK) return
  }
}

async function skipToTail(pieces: Piece[], count: number, wanted: Wanted): Promise<void> {
  let left = count
  for (const piece of [...pieces].reverse()) {
    const { at, found } = await startOfTail(piece.file, piece.size, left, wanted)
    piece.at = at
    left -= found
  }
}

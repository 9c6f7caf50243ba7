/** The socket's file: made safely, taken over from a dead daemon, never from a live one. */
import { chownSync, closeSync, fstatSync, lstatSync, mkdirSync, openSync, statSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { native } from '../drivers/native.js'

/** Longest sun_path that every kernel takes, bytes (unix(7)). */
const PATH_LIMIT = 107

/** Owner and group read and write, nobody else. */
export const DEFAULT_MODE = 0o660

export interface SocketFile {
  path: string
  /** Permission bits; connecting takes write (unix(7)). */
  mode: number
  /** Group of the socket and of the directory that is made for it; undefined: the daemon's own. */
  gid?: number | undefined
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve(false)
      else reject(error)
    })
  })
}

interface Lock {
  fd: number
  path: string
}

/**
 * It decides between two daemons that start at once and both find a dead socket. One whose file was removed meanwhile, by
 * a daemon that was refused, is none.
 * @throws Error when somebody has it
 */
function lockFor(socket: string): Lock {
  const path = `${socket}.lock`
  for (;;) {
    const fd = openSync(path, 'w', 0o600)
    if (!native.tryLock(fd)) {
      closeSync(fd)
      throw new Error(`another contextd serves ${socket}`)
    }
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return { fd, path }
    closeSync(fd)
  }
}

/**
 * Reserves the path and runs `listen`, so that the socket appears with its mode and not a moment later.
 * The directory is made with mode 0750 when it is missing, 0755 for a socket that is for all.
 * @returns what to call when the daemon has closed the socket
 * @throws Error when something else is there, or somebody serves it
 */
export async function listenOn({ path, mode, gid }: SocketFile, listen: () => Promise<unknown>): Promise<() => void> {
  if (Buffer.byteLength(path) > PATH_LIMIT) throw new Error(`the socket path is over ${PATH_LIMIT} bytes: ${path}`)
  const isForAll = (mode & 0o002) !== 0
  const made = mkdirSync(dirname(path), { recursive: true, mode: isForAll ? 0o755 : 0o750 })
  if (made !== undefined && gid !== undefined) chownSync(dirname(path), -1, gid)
  const lock = lockFor(path)
  try {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found && !found.isSocket()) throw new Error(`${path} exists and is not a socket`)
    if (found && (await isLive(path))) throw new Error(`another program serves ${path}`)
    if (found) unlinkSync(path)
    const before = process.umask(~mode & 0o777)
    try {
      await listen()
    } finally {
      process.umask(before)
    }
    if (gid !== undefined) chownSync(path, -1, gid)
  } catch (error) {
    unlinkSync(lock.path) // while it is held
    closeSync(lock.fd)
    throw error
  }
  return () => {
    closeSync(lock.fd)
  }
}

/** Between two looks at the socket's file. */
const LOOK_MS = 1000

export interface KeptSocket {
  /** Looks no more; resolves when no look is under way. Before the socket is closed, for that removes its file, too. */
  leave: () => Promise<void>
  /** When the daemon has closed the socket. */
  release: () => void
}

/**
 * Looks after the file of a socket that is served. When somebody has removed it, nobody can connect any more, and no
 * daemon would notice: then it is made again, and what is connected goes on.
 * @param release what listenOn() has returned
 * @param told why that fails, once
 */
export function keepSocket(
  file: SocketFile,
  release: () => void,
  listen: () => Promise<unknown>,
  told: (message: string, error?: unknown) => void
): KeptSocket {
  let looking: Promise<void> | undefined
  let hasTold = false
  const look = async () => {
    if (lstatSync(file.path, { throwIfNoEntry: false })) return
    try {
      release()
      release = () => undefined
      release = await listenOn(file, listen)
      told(`the socket ${file.path} was removed; it is made again`)
      hasTold = false
    } catch (error) {
      if (!hasTold) told(`the socket ${file.path} was removed and cannot be made again`, error)
      hasTold = true
    }
  }
  const timer = setInterval(() => {
    looking ??= look().finally(() => (looking = undefined))
  }, LOOK_MS).unref()
  return {
    leave: async () => {
      clearInterval(timer)
      await looking
    },
    release: () => {
      release()
    }
  }
}

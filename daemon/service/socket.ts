/** The socket's file: made safely, taken over from a dead daemon, never from a live one. */
import { closeSync, lstatSync, mkdirSync, openSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { native } from '../drivers/native.js'

/** Longest sun_path that every kernel takes, bytes (unix(7)). */
const PATH_LIMIT = 107

/** Owner and group read and write, nobody else. */
const UMASK = 0o117

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

/**
 * Reserves the path and runs `listen`, so that the socket appears with mode 0660 and not a moment later.
 * The directory is made with mode 0750 when it is missing.
 * @returns what to call when the daemon has closed the socket
 * @throws Error when something else is there, or somebody serves it
 */
export async function listenOn(path: string, listen: () => Promise<unknown>): Promise<() => void> {
  if (Buffer.byteLength(path) > PATH_LIMIT) throw new Error(`the socket path is over ${PATH_LIMIT} bytes: ${path}`)
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  const lockPath = `${path}.lock`
  const lock = openSync(lockPath, 'w', 0o600)
  try {
    // The lock is what decides between two daemons that start at once and both find a dead socket.
    if (!native.tryLock(lock)) throw new Error(`another contextd serves ${path}`)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found && !found.isSocket()) throw new Error(`${path} exists and is not a socket`)
    if (found && (await isLive(path))) throw new Error(`another program serves ${path}`)
    if (found) unlinkSync(path)
    const before = process.umask(UMASK)
    try {
      await listen()
    } finally {
      process.umask(before)
    }
  } catch (error) {
    closeSync(lock)
    throw error
  }
  // The lock's file stays: removing it would let a third daemon lock another one of the same name.
  return () => {
    closeSync(lock)
  }
}

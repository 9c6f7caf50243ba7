/** Sockets that a service manager has opened for this daemon: sd_listen_fds(3). */
import { native } from '../drivers/native.js'

export interface PassedSocket {
  fd: number
  /** FileDescriptorName= of the socket's unit; "unknown" where it has none. */
  name: string
  /** Its address: a path, or an abstract name after `@`. */
  path: string
}

/** SD_LISTEN_FDS_START: after standard input, output and error. */
const FIRST = 3

/**
 * Takes the sockets that were passed to this process, and their variables out of `env`, for no child is meant by them.
 * @returns none when it was started without socket activation
 * @throws Error when something other than listening Unix stream sockets was passed
 */
export function passedSockets(env: NodeJS.ProcessEnv): PassedSocket[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names = '' } = env
  for (const variable of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) Reflect.deleteProperty(env, variable)
  // Another process's: a parent that was activated and did not clean up.
  if (count === undefined || Number(pid) !== process.pid) return []
  if (!/^\d{1,4}$/.test(count)) throw new Error(`LISTEN_FDS is not a number of sockets: "${count}"`)
  const named = names.split(':')
  return Array.from({ length: Number(count) }, (_, index) => {
    const fd = FIRST + index
    const name = named[index] ?? ''
    const path = native.adoptListener(fd)
    if (path === undefined)
      throw new Error(
        `descriptor ${fd}${name && ` (${name})`}, passed by LISTEN_FDS, is no listening Unix stream socket`
      )
    return { fd, name: name || 'unknown', path }
  })
}

import { readFileSync, readlinkSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import { native, type PeerCredentials } from '../drivers/native.js'
import type { Peer } from '../plugins/peers.js'

/** Node has no public way to a socket's descriptor; every version since 0.10 has this one. -1: it is closed. */
export const fdOf = (socket: Socket): number =>
  (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1

/** SO_PEERCRED and groups of a connection, and what its process is. Throws when the process is gone already. */
export function identifyBy(driver: Driver): (socket: Socket) => Peer {
  return (socket) => {
    const fd = fdOf(socket)
    const credentials = native.peerCredentials(fd)
    if (credentials.pid === 0) throw new CallError('ESRCH', 'getsockopt', 'the peer is in a PID namespace out of sight')
    // First of all: of a process in a context there is nothing to be read in a Linux-VServer host's /proc.
    const xid = driver.vx_task_xid(credentials.pid)
    const isOfHost = xid === 0
    const groups = isOfHost ? groupsOf(fd, credentials) : []
    const executable = isOfHost ? executableOf(credentials.pid) : null
    // Only a peer that is still there has not left its pid to somebody else.
    if (!native.peerIsAlive(fd))
      throw new CallError('ESRCH', 'getsockopt', `the peer, pid ${credentials.pid}, has ended`)
    return { ...credentials, groups, xid, executable }
  }
}

/** As the kernel names it (proc(5)), with " (deleted)" where it is; null for a process of which we may not know. */
function executableOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch {
    return null
  }
}

/** Before Linux 4.13 a socket does not have its peer's groups; the process does, as long as it is the one that connected. */
function groupsOf(fd: number, credentials: PeerCredentials): number[] {
  try {
    return native.peerGroups(fd)
  } catch (error) {
    if (!(error instanceof CallError && error.code === 'ENOPROTOOPT')) throw error
    return groupsInStatus(readFileSync(`/proc/${credentials.pid}/status`, 'utf8'), credentials)
  }
}

/**
 * "Groups:" of /proc/PID/status (proc(5)). None when its effective ids are not those that connected: a peer that has
 * become another user's by a set-user-ID program since must not bring that one's groups.
 */
export function groupsInStatus(status: string, { uid, gid }: Pick<PeerCredentials, 'uid' | 'gid'>): number[] {
  const numbers = (name: string) =>
    (new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '').trim().split(/\s+/).filter(Boolean).map(Number)
  // Real, effective, saved, file system.
  const isSame = numbers('Uid')[1] === uid && numbers('Gid')[1] === gid
  return isSame ? numbers('Groups') : []
}

import type { Socket } from 'node:net'
import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import { native } from '../drivers/native.js'
import type { Peer } from '../plugins/peers.js'

/** SO_PEERCRED of a connection, and the context its process is in. Throws when the process is gone already. */
export function identifyBy(driver: Driver): (socket: Socket) => Peer {
  return (socket) => {
    // Node has no public way to a socket's descriptor; every version since 0.10 has this one.
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const credentials = native.peerCredentials(fd)
    if (credentials.pid === 0) throw new CallError('ESRCH', 'getsockopt', 'the peer is in a PID namespace out of sight')
    const xid = driver.vx_task_xid(credentials.pid)
    // Only a peer that is still there has not left its pid to somebody else.
    if (!native.peerIsAlive(fd))
      throw new CallError('ESRCH', 'getsockopt', `the peer, pid ${credentials.pid}, has ended`)
    return { ...credentials, xid }
  }
}

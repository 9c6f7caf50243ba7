import type { Socket } from 'node:net'
import type { Driver } from '../drivers/driver.js'
import { native } from '../drivers/native.js'
import type { Peer } from '../plugins/peers.js'

/** SO_PEERCRED of a connection, and the context its process is in. Throws when the process is gone already. */
export function identifyBy(driver: Driver): (socket: Socket) => Peer {
  return (socket) => {
    // Node has no public way to a socket's descriptor; every version since 0.10 has this one.
    const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
    const credentials = native.peerCredentials(fd)
    return { ...credentials, xid: driver.vx_task_xid(credentials.pid) }
  }
}

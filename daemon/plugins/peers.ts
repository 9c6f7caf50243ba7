/** Who is calling: the kernel's word (SO_PEERCRED), asked once for each connection, of which each uid may have so many. */
import type { FastifyInstance } from 'fastify'
import type { Socket } from 'node:net'
import type { Slots } from '../admission/slots.js'
import { Refusal } from '../refusal.js'
import { CallError } from '../drivers/errors.js'
import type { PeerCredentials } from '../drivers/native.js'
import { answerAndClose, problemOf } from './problems.js'

declare module 'fastify' {
  interface FastifyRequest {
    peer: Peer
  }
}

export interface Peer extends PeerCredentials {
  /** Supplementary groups. */
  groups: readonly number[]
  /** The context the peer is in; 0 is the host. */
  xid: number
  /** What it ran when it connected; null when that cannot be read. */
  executable: string | null
}

/** @param identify credentials of the other end; throws when it cannot tell */
export function addPeers(app: FastifyInstance, identify: (socket: Socket) => Peer, connections: Slots): void {
  const peers = new WeakMap<Socket, Peer>()

  app.server.on('connection', (socket: Socket) => {
    let peer: Peer
    try {
      peer = identify(socket)
    } catch (error) {
      // Whoever connects and ends at once is no trouble.
      const isGone = error instanceof CallError && error.code === 'ESRCH'
      const problem = problemOf(error)
      if (problem.status === 503) {
        app.log.warn({ err: error }, 'a peer cannot be looked up now')
        answerAndClose(socket, problem)
        return
      }
      app.log[isGone ? 'debug' : 'error']({ err: error }, 'connection closed: its peer is unknown')
      socket.destroy()
      return
    }
    try {
      socket.once('close', connections.take(peer.uid))
      peers.set(socket, peer)
    } catch (error) {
      answerAndClose(socket, problemOf(error))
    }
  })

  app.decorateRequest('peer')
  app.addHook('onRequest', (request, _reply, done) => {
    const peer = peers.get(request.raw.socket)
    if (!peer) {
      done(new Refusal(403, 'unknown-peer', 'the kernel does not say who you are'))
      return
    }
    request.peer = peer
    done(
      peer.xid === 0
        ? undefined
        : new Refusal(403, 'inside-context', `a process inside context ${peer.xid} is not served`)
    )
  })
}

/** Who is calling: the kernel's word (SO_PEERCRED), asked once for each connection. */
import type { FastifyInstance } from 'fastify'
import type { Socket } from 'node:net'
import { Refusal } from '../contexts/refusal.js'
import type { PeerCredentials } from '../drivers/native.js'

/** What a request does, declared by every route. Until policies exist all but `read` is for root and our own user. */
export type Action = 'read' | 'create' | 'configure' | 'signal' | 'execute' | 'destroy'

declare module 'fastify' {
  interface FastifyContextConfig {
    action?: Action
  }
  interface FastifyRequest {
    peer: PeerCredentials
  }
}

export interface Peer extends PeerCredentials {
  /** The context the peer is in; 0 is the host. */
  xid: number
}

/** @param identify credentials of the other end; throws when it cannot tell */
export function addPeers(app: FastifyInstance, identify: (socket: Socket) => Peer): void {
  const peers = new WeakMap<Socket, Peer>()
  const ownUid = process.geteuid?.() ?? 0

  app.server.on('connection', (socket: Socket) => {
    try {
      peers.set(socket, identify(socket))
    } catch (error) {
      app.log.error({ err: error }, 'connection closed: its peer is unknown')
      socket.destroy()
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
    if (peer.xid !== 0) {
      done(new Refusal(403, 'inside-context', `a process inside context ${peer.xid} is not served`))
      return
    }
    const action = request.routeOptions.config.action ?? 'read'
    if (action !== 'read' && peer.uid !== 0 && peer.uid !== ownUid) {
      done(
        new Refusal(403, 'forbidden', `uid ${peer.uid} may only read; ${action} is for root and the daemon's own user`)
      )
      return
    }
    done()
  })
}

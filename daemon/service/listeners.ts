/** The sockets that lead to one HTTP server. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import type { App } from '../routes/types.js'

/**
 * Connections that wait to be accepted, beyond which connect(2) fails at once (unix(7)). The kernel takes no more than
 * net.core.somaxconn.
 */
const BACKLOG = 4096

/** A path to make a socket at, or the descriptor of one that listens already. */
export type Address = { path: string } | { fd: number }

/**
 * Any number of sockets over one application. Its HTTP server listens on the first itself, for only then does it look
 * after its connections (timeouts, idle ones at the end); those of the others are handed to it (node:http, Event:
 * 'connection').
 */
export class Listeners {
  readonly #http: Server
  readonly #others: Server[] = []
  readonly #connections = new Set<Socket>()

  constructor(readonly app: App) {
    this.#http = app.server
    this.#http.prependListener('connection', (socket) => {
      this.#connections.add(socket)
      socket.once('close', () => this.#connections.delete(socket))
    })
  }

  /**
   * A path may be opened again when its file is gone: what listens where nobody finds it any more ends with the rest.
   * @param arrived hears of each connection of a socket but the first, before the HTTP server does
   * @throws Error of listen(2) or bind(2)
   */
  async open(address: Address, arrived?: (socket: Socket) => void): Promise<void> {
    let server = this.#http
    if (server.listening) {
      server = createServer({ allowHalfOpen: true }, (socket) => {
        arrived?.(socket)
        this.#http.emit('connection', socket)
      })
      this.#others.push(server)
    }
    // Not app.listen(), which cannot tell the address of a passed socket (Fastify 5).
    server.listen('path' in address ? { ...address, backlog: BACKLOG } : address)
    await once(server, 'listening')
    // What fails later fails one connection, such as EMFILE of accept(2).
    server.on('error', (error) => {
      this.app.log.error({ err: error }, 'accept')
    })
  }

  /**
   * Takes no new connection and drops those that have asked for nothing yet; a passed socket goes on to listen in the
   * service manager.
   * @returns when the last connection has ended
   */
  async close(): Promise<void> {
    const closed = [this.#http, ...this.#others].map((server) => once(server.close(), 'close'))
    for (const socket of this.#connections) if (socket.bytesRead === 0) socket.destroy()
    await Promise.all(closed)
  }

  /** Ends what is left. @returns how many connections that were */
  cut(): number {
    const { size } = this.#connections
    for (const socket of this.#connections) socket.destroy()
    return size
  }
}

/** What clients go on to send when their request is answered. */
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Refusal } from '../refusal.js'
import { helpLink, problemOf } from './problems.js'

/** So many times the longest body. Who sends more does not read answers. */
const TIMES = 16

const hasBody = ({ headers }: IncomingMessage) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/**
 * Many clients read the answer only after all they have to say, and would find a broken connection in its place (RFC
 * 9112, 9.6). So the rest of a body is read and thrown away, up to a bound; --request-timeout holds for it as well.
 */
export class UnreadBodies {
  readonly #bound: number
  readonly #sockets = new Set<Socket>()
  #ended = false

  constructor(bodyLimit: number) {
    this.#bound = TIMES * bodyLimit
  }

  /** Before a request is answered. */
  discard(request: IncomingMessage): void {
    const { socket } = request
    if (request.complete || !hasBody(request) || this.#sockets.has(socket) || this.#ended) return
    this.#sockets.add(socket)
    let left = this.#bound
    request.on('data', ({ length }: Buffer) => {
      left -= length
      if (left < 0) socket.destroy()
    })
    let isLast = false
    // How node:http ends a connection after the answer. Half of it is closed now, the other one after the body.
    socket.destroySoon = () => {
      isLast = true
      socket.end()
    }
    request.once('close', () => {
      this.#sockets.delete(socket)
      Reflect.deleteProperty(socket, 'destroySoon')
      if (isLast) socket.destroy()
    })
  }

  /** Its request is answered, or about to be, and what comes by it is thrown away. */
  has(socket: Socket): boolean {
    return this.#sockets.has(socket)
  }

  /** Discards no more. */
  end(): void {
    this.#ended = true
    for (const socket of this.#sockets) {
      Reflect.deleteProperty(socket, 'destroySoon')
      socket.destroySoon()
    }
  }
}

export function addUnread(app: FastifyInstance, unread: UnreadBodies): void {
  // What node:http answers by itself passes no hook, and would leave the body to it.
  app.server.on('checkExpectation', ({ headers }: IncomingMessage, response: ServerResponse) => {
    const detail = `the daemon cannot do what Expect asks for (${headers.expect ?? ''}); leave it out, or send 100-continue`
    const problem = problemOf(new Refusal(417, 'http', detail))
    const body = `${JSON.stringify(problem)}\n`
    const length = Buffer.byteLength(body)
    response.writeHead(417, {
      connection: 'close',
      'content-type': 'application/problem+json',
      'content-length': length,
      link: helpLink(problem)
    })
    response.end(body)
  })
  app.addHook('onSend', (request, _reply, payload, done) => {
    unread.discard(request.raw)
    done(null, payload)
  })
  app.addHook('preClose', (done) => {
    unread.end()
    done()
  })
}

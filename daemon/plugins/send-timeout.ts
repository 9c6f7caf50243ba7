/** Cuts off clients that take nothing of what is written to them, and so make the daemon keep it. */
import type { FastifyInstance } from 'fastify'
import type { Socket } from 'node:net'

/** Looks within one timeout. */
const LOOKS = 4

interface Seen {
  written: number
  looks: number
}

/** @param seconds in which no write to the client has ended */
export function addSendTimeout(app: FastifyInstance, seconds: number): void {
  const connections = new Map<Socket, Seen>()
  app.server.on('connection', (socket: Socket) => {
    connections.set(socket, { written: 0, looks: 0 })
    socket.once('close', () => connections.delete(socket))
  })
  const timer = setInterval(
    () => {
      for (const [socket, seen] of connections) {
        const { writableLength, bytesWritten } = socket
        const done = bytesWritten - writableLength
        seen.looks = writableLength > 0 && done === seen.written ? seen.looks + 1 : 0
        seen.written = done
        if (seen.looks >= LOOKS) socket.destroy()
      }
    },
    (seconds * 1000) / LOOKS
  ).unref()
  app.addHook('onClose', (_app, done) => {
    clearInterval(timer)
    done()
  })
}

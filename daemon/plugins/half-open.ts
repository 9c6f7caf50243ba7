/**
 * A client that has said that it sends no more still reads: HTTP/1.0 tools, `socat` and netcat close their half when they
 * have asked. One that has closed altogether does not, and all that it waits for is given up. Both look alike to read(2).
 */
import type { FastifyInstance } from 'fastify'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** Nothing wakes us when a client goes that has closed its half before. */
const LOOK_MS = 250

/** @param hasHungUp says whether the other end is closed altogether */
export function addHalfOpen(app: FastifyInstance, hasHungUp: (socket: Socket) => boolean): void {
  // Not in the documentation, but in every version since 0.11: an answer that is under way when a client closes its half
  // is sent, and is the last one (lib/_http_server.js, socketOnEnd).
  const server = app.server as Server & { httpAllowHalfOpen: boolean }
  server.httpAllowHalfOpen = true

  const halves = new Set<Socket>()
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    for (const socket of halves) if (hasHungUp(socket)) socket.destroy()
  }
  const forget = (socket: Socket) => {
    halves.delete(socket)
    if (halves.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
  server.on('connection', (socket: Socket) => {
    socket.once('end', () => {
      if (socket.destroyed) return
      if (hasHungUp(socket)) {
        socket.destroy()
        return
      }
      halves.add(socket)
      timer ??= setInterval(look, LOOK_MS).unref()
      socket.once('close', () => {
        forget(socket)
      })
    })
  })
}

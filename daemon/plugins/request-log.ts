import type { FastifyInstance } from 'fastify'
import type { Peer } from './peers.js'

/**
 * Every request has an id, in its answer, in the log, the audit log and its events. With --log-level debug each is
 * logged; else reads are too many and too fast for that, writes are in the audit log, and failures are logged.
 */
export function addRequestLog(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id)
    done()
  })
  if (!['debug', 'trace'].includes(app.log.level)) return
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url } = request
    const { uid, pid } = (request.peer as Peer | undefined) ?? {}
    const { statusCode: status, elapsedTime: ms } = reply
    request.log.debug({ request_id: request.id, method, url, uid, pid, status, ms }, 'request')
    done()
  })
}

/** If-Match on everything that writes to a context: 412 when the context is not what the caller saw. */
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../refusal.js'

/** @param etagOf the context's current tag; throws when there is none */
export function addPreconditions(app: FastifyInstance, etagOf: (xid: number) => string): void {
  app.addHook('preHandler', (request, _reply, done) => {
    const expected = request.headers['if-match']
    const { xid } = (request.params ?? {}) as { xid?: number }
    if (expected === undefined || xid === undefined || request.method === 'GET' || request.method === 'HEAD') {
      done()
      return
    }
    const etag = etagOf(xid)
    const matches = expected === '*' || expected.split(',').some((tag) => tag.trim() === etag)
    done(matches ? undefined : new Refusal(412, 'precondition', `context ${xid} has changed: its ETag is ${etag}`, xid))
  })
}

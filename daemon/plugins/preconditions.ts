/** If-Match and If-None-Match (RFC 9110, 13.1): 412 for a write to a context that is not what the caller saw. */
import type { FastifyInstance } from 'fastify'
import { CallError } from '../drivers/errors.js'
import { Refusal } from '../refusal.js'

/** Whether a header names this tag; of If-None-Match weak ones count too, which only proxies make (RFC 9110, 13.1.2). */
export const isNamed = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  (header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))

/** @param etagOf the context's current tag; undefined where there is no context; throws what keeps it from being read */
export function addPreconditions(app: FastifyInstance, etagOf: (xid: number) => string | undefined): void {
  app.addHook('preHandler', (request, _reply, done) => {
    const expected = request.headers['if-match']
    const unexpected = request.headers['if-none-match']
    const { xid } = (request.params ?? {}) as { xid?: number }
    if ((expected ?? unexpected) === undefined || xid === undefined || ['GET', 'HEAD'].includes(request.method)) {
      done()
      return
    }
    const etag = etagOf(xid)
    done(ifMatch(xid, expected, etag) ?? ifNoneMatch(xid, unexpected, etag))
  })
}

const precondition = (xid: number, detail: string) => new Refusal(412, 'precondition', detail, xid)

/** Tags are compared strongly: a weak one is never the same. */
function ifMatch(xid: number, expected: string | undefined, etag: string | undefined): Error | undefined {
  if (expected === undefined) return undefined
  if (etag === undefined) return new CallError('ESRCH', 'vx_info', `there is no context ${xid}`)
  if (expected.trim() === '*' || expected.split(',').some((tag) => tag.trim() === etag)) return undefined
  return precondition(xid, `context ${xid} has changed: its ETag is ${etag}`)
}

function ifNoneMatch(xid: number, unexpected: string | undefined, etag: string | undefined): Error | undefined {
  if (etag === undefined || !isNamed(unexpected, etag)) return undefined
  return precondition(xid, `context ${xid} is there, with the ETag ${etag}, and If-None-Match asks that it is not`)
}

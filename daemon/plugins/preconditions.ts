/** If-Match and If-None-Match (RFC 9110, 13), and the ETag of a context in the answer of every write to it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Idempotency } from '../contexts/idempotency.js'
import { notNew } from '../contexts/write.js'
import { whileThere } from '../drivers/errors.js'
import { Refusal } from '../refusal.js'
import { declared } from './declared.js'
import { xidInPath } from './problems.js'

export interface Tags {
  /** The context's current tag. @throws CallError ESRCH */
  etagOf: (xid: number) => string
  /** The same after a write below the context; undefined where it would take a look at all of the context. */
  tagAfter: (xid: number) => string | undefined
  exists: (xid: number) => boolean
  idempotency: Idempotency
}

const WHOLE = '/contexts/:xid'

const tagsOf = (header: string) => header.split(',').map((tag) => tag.trim())
/** By the strong comparison, as a write has it: a weak tag matches nothing. */
const matches = (header: string, etag: string) => header.trim() === '*' || tagsOf(header).includes(etag)
const matchesWeakly = (header: string, etag: string) => matches(header.replaceAll('W/', ''), etag)

export function addPreconditions(app: FastifyInstance, { etagOf, tagAfter, exists, idempotency }: Tags): void {
  app.addHook('preHandler', (request, reply, done) => {
    const { 'if-match': match, 'if-none-match': noneMatch, 'idempotency-key': key } = request.headers
    const xid = xidInPath(request)
    if ((match === undefined && noneMatch === undefined) || xid === undefined || !isTagged(request)) done()
    else if (isRead(request)) {
      const etag = etagOf(xid)
      if (match !== undefined && !matches(match, etag)) done(changed(xid, etag))
      else if (noneMatch !== undefined && matchesWeakly(noneMatch, etag)) notModified(reply, etag)
      else done()
    }
    // What has been done already has changed the context itself.
    else if (request.method === 'POST' && idempotency.knows(key, request.peer.uid)) done()
    // The answer tells which tag the context has.
    else if (!request.access.may('read', xid)) done(request.access.lacks('read', xid))
    else done(refusalOf(xid, match, noneMatch))
  })

  function refusalOf(xid: number, match: string | undefined, noneMatch: string | undefined): Refusal | undefined {
    if (match !== undefined) {
      const etag = etagOf(xid)
      if (!matches(match, etag)) return changed(xid, etag)
    }
    if (noneMatch === undefined || !exists(xid)) return undefined
    if (noneMatch.trim() === '*') return notNew(xid)
    return matchesWeakly(noneMatch, etagOf(xid)) ? unchanged(xid) : undefined
  }

  app.addHook('onSend', (request, reply, payload, done) => {
    const xid = xidInPath(request)
    const isDone = reply.statusCode < 300 && !reply.hasHeader('etag')
    if (xid !== undefined && isDone && !isRead(request) && isTagged(request) && request.access.may('read', xid)) {
      const etag = whileThere(() => tagAfter(xid))
      if (etag !== undefined) void reply.header('etag', etag)
    }
    done(null, payload)
  })
}

const isRead = ({ method }: FastifyRequest) => method === 'GET' || method === 'HEAD'

/** The tag is that of all of a context: only that is read by it, while whatever is written below changes it. */
function isTagged(request: FastifyRequest): boolean {
  const { url } = request.routeOptions
  return isRead(request) ? url === WHOLE : url?.startsWith(WHOLE) === true && declared(request).action !== 'read'
}

const changed = (xid: number, etag: string) =>
  new Refusal(412, 'precondition', `context ${xid} has changed: its ETag is ${etag}, which If-Match does not have`, xid)

const unchanged = (xid: number) =>
  new Refusal(412, 'precondition', `context ${xid} has an ETag that If-None-Match has: it has not changed`, xid)

function notModified(reply: FastifyReply, etag: string): void {
  void reply.code(304).header('etag', etag).send()
}

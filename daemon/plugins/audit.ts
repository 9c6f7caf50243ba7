/** Every write and every denial becomes a line of the audit log, failed ones too, before its answer leaves. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Denials } from '../audit/denials.js'
import type { AuditLog, Begun } from '../audit/log.js'
import type { AuditRecord, Caller } from '../audit/record.js'
import type { Change, NativeCall } from '../contexts/audited.js'
import { Refusal } from '../refusal.js'
import { declared } from './declared.js'
import type { Peer } from './peers.js'
import { problemOf, xidOf } from './problems.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Calls made for this request, in order. */
    calls: NativeCall[]
    /** What they changed. */
    changes: Change[]
    /** The context of a request that does not name it in its path. */
    auditXid: number | null
    /** Of a write that is carried out. */
    begun: Begun | null
  }
}

/** @param bodyMax of a body whose length the client does not say, bytes */
export function addAudit(app: FastifyInstance, log: AuditLog, bodyMax: number): void {
  const denials = new Denials(log)
  app.decorateRequest('declared')
  app.decorateRequest('calls')
  app.decorateRequest('changes')
  app.decorateRequest('auditXid', null)
  app.decorateRequest('begun', null)

  app.addHook('onRequest', (request, _reply, done) => {
    if (isWrite(request)) {
      request.calls = []
      request.changes = []
    }
    done()
  })

  // All that is left to do is the write itself.
  app.addHook('preHandler', (request, _reply, done) => {
    if (isWrite(request)) {
      const { request_id, caller, action, method, path, xid } = about(request)
      const begun = new Date().toISOString()
      const length = request.headers['content-length']
      request.begun = log.begin(
        { begun, request_id, caller, action, method, path, xid },
        length === undefined ? bodyMax : Number(length)
      )
    }
    done()
  })

  app.addHook('onSend', (request, reply, payload, done) => {
    const { begun, problem } = request
    if (begun) {
      request.begun = null
      const isWritten = log.end(begun, recordOf(request, reply))
      done(null, isWritten || log.onFailure === 'continue' ? payload : unwritten(reply))
      return
    }
    // The kernel's own refusals name their call, and are no denials of ours. Nothing was begun, so whoever may do nothing
    // at all can have this as often as it likes, whatever the answer says: it must not fill the log.
    const isDenied = problem?.status === 403 && problem.call === undefined
    if (isDenied || (isWrite(request) && problem?.type !== 'audit')) denials.note(recordOf(request, reply))
    done(null, payload)
  })

  app.addHook('onClose', (_app, done) => {
    denials.flush()
    done()
  })
}

const isWrite = (request: FastifyRequest) => {
  const { action } = declared(request)
  return request.method !== 'GET' && request.method !== 'HEAD' && action !== undefined && action !== 'read'
}

/** Longer than any path with a query that is not refused, but for those with values that are repeated. */
const PATH_MAX = 512
const bounded = (path: string) => (path.length > PATH_MAX ? `${path.slice(0, PATH_MAX)}…` : path)

/** What is known of a request at any time. */
function about(request: FastifyRequest) {
  const peer = request.peer as Peer | undefined
  return {
    request_id: request.id,
    caller: peer ? callerOf(peer) : null,
    action: declared(request).action ?? 'read',
    method: request.method,
    path: bounded(request.url),
    xid: xidOf(request) ?? request.auditXid
  }
}

function callerOf({ uid, gid, pid, executable, xid }: Peer): Caller {
  const caller = { uid, gid, pid, executable }
  return xid === 0 ? caller : { ...caller, xid }
}

function recordOf(request: FastifyRequest, reply: FastifyReply): AuditRecord {
  const { calls = [], changes = [], problem } = request as Partial<FastifyRequest>
  const { request_id, caller, action, method, path, xid } = about(request)
  const [status, type] = [reply.statusCode, problem?.type ?? null]
  return { request_id, caller, action, method, path, xid, calls, changes, status, problem: type }
}

/** What is done and has no line is owed to the log; the client is told. */
function unwritten(reply: FastifyReply): string {
  const problem = problemOf(new Refusal(503, 'audit', 'done, but the audit log cannot be written'))
  void reply.code(503).type('application/problem+json').header('retry-after', 1)
  return JSON.stringify(problem)
}

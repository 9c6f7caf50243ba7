/** Every write becomes one line of the audit log, denied and failed ones too, before its answer leaves. */
import type { FastifyInstance } from 'fastify'
import type { AuditLog } from '../audit/log.js'
import type { NativeCall } from '../contexts/audited.js'
import { problemOf, xidOf } from './problems.js'
import { Refusal } from '../contexts/refusal.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Calls made for this request, in order. */
    calls: NativeCall[]
    /** The context of a request that does not name it in its path. */
    auditXid: number | null
  }
}

export function addAudit(app: FastifyInstance, log: AuditLog): void {
  app.decorateRequest('calls')
  app.decorateRequest('auditXid', null)
  app.addHook('onRequest', (request, _reply, done) => {
    if (isWrite(request.method)) request.calls = []
    done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { action } = request.routeOptions.config
    if (!isWrite(request.method) || action === undefined || action === 'read') {
      done(null, payload)
      return
    }
    const peer = request.peer as typeof request.peer | undefined
    try {
      log.append({
        time: new Date().toISOString(),
        request_id: request.id,
        caller: peer ? { uid: peer.uid, gid: peer.gid, pid: peer.pid } : null,
        method: request.method,
        path: request.url,
        xid: xidOf(request) ?? request.auditXid,
        calls: request.calls,
        status: reply.statusCode
      })
      done(null, payload)
    } catch (error) {
      request.log.error({ err: error }, 'the audit log cannot be written')
      const problem = problemOf(new Refusal(503, 'audit', 'done, but the audit log cannot be written'))
      void reply.code(503).type('application/problem+json').header('retry-after', 1)
      done(null, JSON.stringify(problem))
    }
  })
}

const isWrite = (method: string) => method !== 'GET' && method !== 'HEAD'

import { readPage, type AuditLine } from '../audit/page.js'
import { invalid } from '../refusal.js'
import type { Access } from '../policy/access.js'
import { AuditPage, AuditQuery } from '../schemas/audit.js'
import { ref } from '../schemas/common.js'
import { problems } from '../schemas/problem.js'
import { exactTime } from '../vocabulary/time.js'
import { stoppingRefusal, untilHangUp, type App, type Resources } from './types.js'

const DEFAULT_LIMIT = 100

/** /audit. */
export function auditRoutes(app: App, { audit, driver, stopping }: Resources): void {
  /** Whoever may read of its own contexts gets nothing of others that had their xid before. */
  function isAbout({ xid, caller, time, begun = time }: AuditLine, access: Access): boolean {
    if (xid === undefined || xid === null) return false
    if (access.mayForAnyOwner('audit', xid)) return true
    if (!access.may('audit', xid)) return false
    return caller?.uid === access.uid || (driver.exists(xid) && begun >= driver.details(xid).created_at)
  }

  app.get('/audit', {
    config: { action: 'audit' },
    schema: {
      summary: 'Read the audit log',
      description:
        'Oldest line first, from the files that logrotate keeps beside the log too. A page may have fewer lines than `limit`, none at all even, while `next` says where to go on.',
      operationId: 'read_audit',
      tags: ['audit'],
      querystring: AuditQuery,
      response: { 200: ref(AuditPage), ...problems }
    },
    handler: async ({ query, access }, reply) => {
      const { xid, since, after = 0, limit = DEFAULT_LIMIT } = query
      const { seq, sha256 } = audit.status
      const isVisible = (line: AuditLine) => access.mayAll('audit') || isAbout(line, access)
      const { lines, next } = await readPage(
        audit.path,
        { after, limit, xid, isVisible, since: since === undefined ? undefined : inUtc(since) },
        untilHangUp(reply, stopping).signal
      ).catch((error: unknown) => {
        throw stopping.aborted ? stoppingRefusal() : error
      })
      void reply.type('application/json; charset=utf-8')
      return reply.send(
        `{"records":[${lines.join(',')}],"next":${next},"last":${JSON.stringify({ seq, sha256 })}}` as never
      )
    }
  })
}

function inUtc(since: string): string {
  const time = exactTime(since)
  if (time === undefined) throw invalid('querystring.since', `is no time that there is: ${since}`)
  return time
}

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AuditLog } from '../audit/log.js'
import type { Contexts } from '../contexts/contexts.js'
import type { Idempotency } from '../contexts/idempotency.js'
import type { Write } from '../contexts/write.js'
import { Refusal } from '../refusal.js'
import type { Driver } from '../drivers/driver.js'
import { Announcements, type Events } from '../events/events.js'
import type { Metrics } from '../metrics/metrics.js'
import type { WriteQuery } from '../schemas/common.js'

export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>

export interface Resources {
  audit: AuditLog
  contexts: Contexts
  /** What was done by requests with an Idempotency-Key. */
  idempotency: Idempotency
  driver: Driver
  /** Why the drivers before this one were not taken. */
  passed: string[]
  events: Events
  metrics: Metrics
  /** Metrics of each context, too. */
  contextMetrics: boolean
  /** Aborts when the daemon stops. */
  stopping: AbortSignal
}

/** How the request wants its write done. */
export function writeOf(
  request: Pick<FastifyRequest, 'id' | 'calls' | 'changes' | 'access' | 'announcements' | 'server'>,
  query: { [K in keyof WriteQuery]?: WriteQuery[K] | undefined } = {}
): Write {
  const events = (request.announcements = new Announcements(request.server.events, request.id))
  return {
    calls: request.calls,
    access: request.access,
    changes: request.changes,
    events,
    dryRun: query.dry_run,
    record: query.unsupported === 'record',
    irreversible: query.irreversible
  }
}

/** Aborts when the client hangs up before it has its answer, and when the daemon stops. */
export function untilHangUp(reply: FastifyReply, stopping: AbortSignal): AbortController {
  const controller = new AbortController()
  const abort = () => {
    controller.abort()
  }
  stopping.addEventListener('abort', abort)
  reply.raw.once('close', () => {
    stopping.removeEventListener('abort', abort)
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller
}

export const stoppingRefusal = () => new Refusal(503, 'stopping', 'the daemon is stopping; ask again when it is back')

/** The work's outcome, or 503 when the daemon stops before. What was started goes on. */
export async function unlessStopping<T>(work: Promise<T>, stopping: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(stoppingRefusal())
    }
  })
  stopping.addEventListener('abort', stop)
  try {
    return await Promise.race([work, stopped])
  } finally {
    stopping.removeEventListener('abort', stop)
  }
}

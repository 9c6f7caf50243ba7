import { Readable } from 'node:stream'
import { XidParams } from '../schemas/common.js'
import { invalid } from '../refusal.js'
import { hold } from '../plugins/admission.js'
import { Log, LogQuery } from '../schemas/log.js'
import { problems } from '../schemas/problem.js'
import { exactTime } from '../vocabulary/time.js'
import type { App, Resources } from './types.js'

/** /contexts/:xid/log. */
export function logRoutes(app: App, { contexts, stopping }: Resources): void {
  app.get('/contexts/:xid/log', {
    config: { action: 'read' },
    schema: {
      summary: 'Get what the processes of the context have written',
      description:
        'Standard output and error of the init and of every process that was started without `capture`. The log of a context that has ended can be read as long as its exit report.',
      operationId: 'get_log',
      tags: ['processes'],
      params: XidParams,
      querystring: LogQuery,
      response: { 200: Log, ...problems }
    },
    handler: async (request, reply) => {
      const query = { ...request.query, since: sinceOf(request.query) }
      const owner = contexts.logOwner(request.params.xid)
      reply.raw.once('close', hold(request, 'logReaders'))
      const over = new AbortController()
      const abort = () => {
        over.abort()
      }
      stopping.addEventListener('abort', abort)
      reply.raw.once('close', () => {
        stopping.removeEventListener('abort', abort)
        abort()
      })
      const following = {
        isThere: () => contexts.isOwnerThere(owner),
        signal: over.signal,
        placed: () => {
          // A silent guest's reader wants to know that it is connected.
          if (query.follow) reply.raw.flushHeaders()
        }
      }
      const lines = Readable.from(contexts.logs.read(owner, query, following), { objectMode: false })
      // A guest chooses the bytes: no browser is to take them for anything else, and nobody can promise their encoding.
      void reply.header('content-type', 'text/plain').header('x-content-type-options', 'nosniff')
      // Once it ends, nothing is to keep a daemon that stops.
      if (query.follow) void reply.header('connection', 'close')
      return reply.send(lines)
    }
  })
}

function sinceOf({ since }: LogQuery): string | undefined {
  const time = since === undefined ? undefined : exactTime(since)
  if (since !== undefined && time === undefined)
    throw invalid('querystring.since', `is no time that there is: ${since}`)
  return time
}

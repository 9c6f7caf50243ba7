import type { Kept } from '../events/history.js'
import { invalid } from '../refusal.js'
import { hold } from '../plugins/admission.js'
import { XID_MAX, XID_MIN } from '../drivers/rules.js'
import { EventQuery, EventStream, LastEventId } from '../schemas/event.js'
import { problems } from '../schemas/problem.js'
import type { App, Resources } from './types.js'

const TYPE = 'text/event-stream; charset=utf-8'

/** /events. */
export function eventRoutes(app: App, { events, stopping }: Resources): void {
  const { history, readers } = events
  stopping.addEventListener('abort', () => {
    readers.end()
  })

  app.get('/events', {
    config: { action: 'read' },
    schema: {
      summary: 'Follow what happens to contexts',
      description:
        'Server-Sent Events, until one side hangs up. Last-Event-ID goes on after that event. A reader that does not read in time is dropped.',
      operationId: 'follow_events',
      tags: ['events'],
      querystring: EventQuery,
      headers: LastEventId,
      response: {
        200: { description: 'The events.', content: { 'text/event-stream': { schema: EventStream } } },
        ...problems
      }
    },
    handler: (request, reply) => {
      const { access } = request
      const wanted = wantedBy(request.query)
      const wants = access.mayAll('read')
        ? wanted
        : (event: Kept) => access.may('read', event.xid, event.owner) && (!wanted || wanted(event))
      if (request.method === 'HEAD') {
        void reply.type(TYPE).send('')
        return
      }
      const release = hold(request, 'eventReaders')
      const id: unknown = request.headers['last-event-id'] ?? request.query.last_event_id
      reply.hijack()
      const { raw } = reply
      raw.once('close', release)
      // The stream is what comes until the connection ends, so that the same bytes go to every reader.
      raw.removeHeader('transfer-encoding')
      raw.writeHead(200, { 'content-type': TYPE, 'cache-control': 'no-store', connection: 'close' })
      readers.add(raw, history.after(typeof id === 'string' ? id : undefined), wants)
    }
  })
}

const itemsOf = (value: string | string[] | undefined) =>
  (value === undefined ? [] : [value].flat()).join(',').split(',').filter(Boolean)

/** Undefined: all of them. */
function wantedBy(query: EventQuery): ((event: Kept) => boolean) | undefined {
  const types = new Set<string>(itemsOf(query.type))
  const xids = new Set(itemsOf(query.xid).map(Number))
  for (const xid of xids)
    if (xid < XID_MIN || xid > XID_MAX) throw invalid('querystring.xid', `is ${XID_MIN} to ${XID_MAX}, not ${xid}`)
  if (types.size === 0 && xids.size === 0) return undefined
  return ({ type, xid }) => (types.size === 0 || types.has(type)) && (xids.size === 0 || xids.has(xid))
}

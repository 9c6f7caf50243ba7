/** Events of a write are published between its audit record and its answer. After addAudit. */
import type { FastifyInstance } from 'fastify'
import type { Announcements, Events } from '../events/events.js'

declare module 'fastify' {
  interface FastifyInstance {
    events: Events
  }
  interface FastifyRequest {
    /** Of a write. */
    announcements: Announcements | null
  }
}

export function addEvents(app: FastifyInstance, events: Events): void {
  app.decorate('events', events)
  app.decorateRequest('announcements', null)
  app.addHook('onSend', (request, _reply, payload, done) => {
    request.announcements?.publish()
    done(null, payload)
  })
}

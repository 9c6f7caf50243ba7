/** JSON ends with a newline, so that a shell's prompt does not follow it on the same line. */
import type { FastifyInstance } from 'fastify'

const isJson = (type: unknown) => typeof type === 'string' && /^application\/(problem\+)?json\b/.test(type)

/** After every other onSend hook: who sends a stream ends it with one. */
export function addNewlines(app: FastifyInstance): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    done(null, typeof payload === 'string' && isJson(reply.getHeader('content-type')) ? `${payload}\n` : payload)
  })
}

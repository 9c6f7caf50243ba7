/** What a client goes on to send when its request is answered. */
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** So many times the longest body. Who sends more does not read answers. */
const TIMES = 16

const hasBody = ({ headers }: FastifyRequest) =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/**
 * Many clients read the answer only after all they have to say, and would find a broken connection in its place (RFC
 * 9112, 9.6). So the rest of a body is read and thrown away, up to a bound; --request-timeout holds for it as well.
 */
export function addUnread(app: FastifyInstance, bodyLimit: number): void {
  app.addHook('onSend', (request, _reply, payload, done) => {
    const { raw } = request
    if (!raw.complete && hasBody(request)) {
      let left = TIMES * bodyLimit
      raw.on('data', ({ length }: Buffer) => {
        left -= length
        if (left < 0) raw.destroy()
      })
    }
    done(null, payload)
  })
}

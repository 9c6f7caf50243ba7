/** 405 with Allow for a known path and an unknown method. Registered after all routes, for it asks which there are. */
import type { FastifyInstance, HTTPMethods } from 'fastify'
import { Refusal } from '../refusal.js'

const ALL: HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Call before the routes; returns what to call after them. */
export function collectMethods(app: FastifyInstance): () => void {
  const methods = new Map<string, Set<HTTPMethods>>()
  let done = false
  app.addHook('onRoute', ({ url, method }) => {
    if (done || url.includes('*')) return
    const known = methods.get(url) ?? new Set()
    for (const name of [method].flat()) known.add(name)
    if (known.has('GET')) known.add('HEAD')
    methods.set(url, known)
  })
  return () => {
    done = true
    for (const [url, known] of methods) {
      const missing = ALL.filter((name) => !known.has(name))
      const allow = ALL.filter((name) => known.has(name)).join(', ')
      app.route({
        url,
        method: missing,
        exposeHeadRoute: false,
        schema: { hide: true },
        config: { action: 'read' },
        handler: (request, reply) => {
          void reply.header('allow', allow)
          throw new Refusal(405, 'method', `${request.method} is not for ${url}; allowed: ${allow}`)
        }
      })
    }
  }
}

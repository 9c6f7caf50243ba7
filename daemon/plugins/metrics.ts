import type { FastifyInstance } from 'fastify'
import type { Metrics } from '../metrics/metrics.js'

/** A path that is nobody's. */
const NO_ROUTE = 'none'

/** Every answer is counted, by its route; never by its path, of which there is no end. */
export function addMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request
    metrics.requests.observe(method, routeOptions.url ?? NO_ROUTE, reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
}

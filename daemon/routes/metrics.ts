import Type from 'typebox'
import { contextMetrics } from '../metrics/contexts.js'
import { problems } from '../schemas/problem.js'
import type { App, Resources } from './types.js'

/** /metrics. */
export function metricsRoutes(app: App, resources: Resources): void {
  const { contexts, driver, metrics } = resources
  app.get('/metrics', {
    config: { action: 'read' },
    schema: {
      summary: 'Metrics for Prometheus',
      description:
        'Contexts by state, of those that the caller may read, and with --context-metrics tasks and load of each. Who may read all contexts is told of the daemon too: requests, calls, limits, audit, events, the process.',
      operationId: 'get_metrics',
      tags: ['daemon'],
      response: {
        200: {
          description: 'The text format.',
          content: { 'text/plain': { schema: Type.String() } }
        },
        ...problems
      }
    },
    handler: async ({ access }, reply) => {
      const xids = driver.list().filter((xid) => access.may('read', xid))
      const own = await contextMetrics(driver, xids, contexts.isStopping, resources.contextMetrics)
      // What others do shows in the counts of the daemon.
      const ofDaemon = access.mayAll('read') ? `${await metrics.text()}\n` : ''
      return reply.type(metrics.registry.contentType).send(`${ofDaemon}${own}`)
    }
  })
}

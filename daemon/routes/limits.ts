import { limitsView } from '../contexts/view.js'
import { IfMatch, ref, WriteQuery, XidParams } from '../schemas/common.js'
import { ChangedLimits, Limits, LimitsPatch } from '../schemas/limits.js'
import { problems } from '../schemas/problem.js'
import { writeOf, type App, type Resources } from './types.js'

const tags = ['limits']

/** /contexts/:xid/limits. */
export function limitRoutes(app: App, { contexts, driver }: Resources): void {
  app.get('/contexts/:xid/limits', {
    config: { action: 'read' },
    schema: {
      summary: 'Get limits',
      operationId: 'get_limits',
      tags,
      params: XidParams,
      response: { 200: ref(Limits), ...problems }
    },
    handler: async (request) => limitsView(driver, request.params.xid)
  })

  app.patch('/contexts/:xid/limits', {
    config: { action: 'configure' },
    schema: {
      summary: 'Set some of the limits',
      description: 'They act while their flag is set: SCHED_HARD, SCHED_PRIO, INFO_NPROC, FORK_RSS.',
      operationId: 'set_limits',
      tags,
      params: XidParams,
      querystring: WriteQuery,
      headers: IfMatch,
      body: ref(LimitsPatch),
      response: { 200: ref(ChangedLimits), ...problems }
    },
    handler: async (request) => {
      const { xid } = request.params
      const changed = await contexts.setLimits(xid, request.body, writeOf(request, request.query))
      // After a dry run this shows the limits as they are.
      return { ...limitsView(driver, xid), changed }
    }
  })
}

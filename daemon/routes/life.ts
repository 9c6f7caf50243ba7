import Type from 'typebox'
import { CallError } from '../drivers/errors.js'
import { hold } from '../plugins/admission.js'
import { answer, IfMatch, ref, XidParams } from '../schemas/common.js'
import { ExitReport, Info, StatReply, WaitQuery } from '../schemas/context.js'
import { problems } from '../schemas/problem.js'
import { stoppingRefusal, untilHangUp, type App, type Resources } from './types.js'

const tags = ['contexts']
const NS_PER_MS = 1_000_000n

const seconds = (ns: bigint) => Number(ns / NS_PER_MS) / 1000

/** /contexts/:xid/info, /stat and /wait. */
export function lifeRoutes(app: App, { contexts, driver, stopping }: Resources): void {
  app.get('/contexts/:xid/info', {
    config: { action: 'read' },
    schema: {
      summary: 'Get context information',
      description: 'vx_info',
      operationId: 'vx_info',
      tags,
      params: XidParams,
      response: { 200: ref(Info), ...problems }
    },
    handler: async (request) => driver.vx_info(request.params.xid)
  })

  app.get('/contexts/:xid/stat', {
    config: { action: 'read' },
    schema: {
      summary: 'Get context statistics',
      description: 'vx_stat',
      operationId: 'vx_stat',
      tags,
      params: XidParams,
      response: { 200: ref(StatReply), ...problems }
    },
    handler: async (request) => {
      const { offset, uptime, ...counts } = await driver.vx_stat(request.params.xid)
      return {
        ...counts,
        offset: seconds(offset),
        offset_ns: offset.toString(),
        uptime: seconds(uptime),
        uptime_ns: uptime.toString()
      }
    }
  })

  app.post('/contexts/:xid/wait', {
    config: { action: 'read' },
    schema: {
      summary: 'Wait for the end of the context',
      description:
        'vx_wait. Answers when the context is dead and gone; a persistent context outlasts its init. The report of a context that has ended is kept for ten minutes.',
      operationId: 'vx_wait',
      tags,
      params: XidParams,
      querystring: WaitQuery,
      headers: IfMatch,
      response: {
        200: answer(ref(ExitReport), 'How it ended.'),
        204: Type.Null({ description: 'Still alive.' }),
        ...problems
      }
    },
    handler: async (request, reply) => {
      const release = hold(request, 'waiters')
      const hangUp = untilHangUp(reply, stopping)
      const { timeout } = request.query
      const timer =
        timeout === undefined
          ? undefined
          : setTimeout(() => {
              hangUp.abort()
            }, timeout * 1000)
      try {
        return await contexts.wait(request.params.xid, hangUp.signal, request.access)
      } catch (error) {
        if (stopping.aborted) throw stoppingRefusal()
        if (!hangUp.signal.aborted || !(error instanceof CallError && error.code === 'EINTR')) throw error
        void reply.code(204)
        return null
      } finally {
        clearTimeout(timer)
        release()
      }
    }
  })
}

import Type from 'typebox'
import { whileThere } from '../drivers/errors.js'
import type { Applied } from '../contexts/write.js'
import { render, Renderings, type Rendering } from '../contexts/renderings.js'
import { addPreconditions } from '../plugins/preconditions.js'
import { hold } from '../plugins/admission.js'
import {
  answer,
  Change,
  ETag,
  IdempotencyKey,
  IfMatch,
  IfNoneMatch,
  Location,
  ref,
  WriteQuery,
  XidParams
} from '../schemas/common.js'
import {
  AppliedContext,
  AppliedOrChange,
  Context,
  ContextBody,
  ContextList,
  CreateBody,
  CreatedContext,
  CreateQuery,
  DestroyQuery,
  type ExitReport,
  ListQuery,
  ReportOrChange
} from '../schemas/context.js'
import { problems } from '../schemas/problem.js'
import { parseSignal } from '../vocabulary/signals.js'
import { listText } from './list.js'
import { answerOnce } from './once.js'
import { untilHangUp, writeOf, type App, type Resources } from './types.js'

const tags = ['contexts']
const DEFAULT_LIMIT = 1000
const DEFAULT_GRACE_S = 10
const JSON_TYPE = 'application/json; charset=utf-8'

/** /contexts and /contexts/:xid. */
export function contextRoutes(app: App, { contexts, driver, idempotency, stopping }: Resources): void {
  const renderings = new Renderings(driver, contexts.isStopping)
  app.addHook('onReady', async () => {
    if (driver.list().length === 0) return
    app.compileAhead(ListQuery)
    await renderings.renderAhead()
  })
  addPreconditions(app, {
    etagOf: (xid) => renderings.get(xid).etag,
    // Where others may change a context nothing of it is kept: a tag would cost a dozen calls after every write.
    tagAfter: (xid) => (driver.revision(xid) === undefined ? undefined : renderings.get(xid).etag),
    exists: (xid) => driver.exists(xid),
    idempotency
  })

  app.post('/contexts', {
    config: { action: 'create' },
    schema: {
      summary: 'Create a context',
      description:
        'vx_create, the words and names, then vx_migrate for `init`; all of it or nothing. With `wait` the answer is the exit report, if the context ends in time. An `Idempotency-Key` header makes a repeated request get the first answer for ten minutes, as on every POST that does something.',
      operationId: 'vx_create',
      tags,
      querystring: CreateQuery,
      headers: IdempotencyKey,
      body: ref(CreateBody),
      response: {
        200: answer(ReportOrChange, 'With `wait`: how it ended. With `dry_run`: what would be done.'),
        201: answer(ref(CreatedContext), 'The new context.', { ETag, Location }),
        ...problems
      }
    },
    handler: (request, reply) => {
      const { body, query } = request
      return answerOnce(idempotency, request, reply, async () => {
        const wait = query.wait === undefined ? undefined : untilHangUp(reply, stopping)
        const limit = typeof query.wait === 'number' ? query.wait * 1000 : undefined
        if (wait && !query.dry_run) reply.raw.once('close', hold(request, 'waiters'))
        const applied = await contexts.create(body.xid, body, writeOf(request, query), wait?.signal)
        const { xid, changed } = applied
        if (query.dry_run) return { xid, status: 200, json: JSON.stringify({ xid, changed, dry_run: true }) }
        const report = wait && (await endedWithin(applied.ended, wait, limit))
        if (report) return { xid, status: 200, json: JSON.stringify(report) }
        const { json, etag } = renderingOf(applied)
        const made = withMore(json, { warnings: applied.warnings })
        return { xid, status: 201, json: made, headers: { location: `/contexts/${xid}`, etag } }
      })
    }
  })

  /** A new context as it was made: it may be gone by now, and no read that fails now may hide that it was made. */
  const renderingOf = ({ xid, view }: Applied): Rendering => (view ? render(view) : renderings.get(xid))

  app.get('/contexts', {
    config: { action: 'read' },
    schema: {
      summary: 'List contexts',
      operationId: 'list_contexts',
      tags,
      querystring: ListQuery,
      response: { 200: ref(ContextList), ...problems }
    },
    handler: (request, reply) => {
      const { name, limit = DEFAULT_LIMIT, after = 0 } = request.query
      const { access } = request
      const readable = access.mayAll('read') ? driver.list() : driver.list().filter((xid) => access.may('read', xid))
      const wanted = readable
        .filter((xid) => xid > after)
        .filter((xid) => name === undefined || whileThere(() => driver.vx_uname_get(xid, 'context')) === name)
      const page = wanted.slice(0, limit)
      const next = wanted.length > limit ? (page.at(-1) ?? null) : null
      // One that ends between two reads is no error of the list.
      const { bytes, text } = listText(
        page.flatMap((xid) => whileThere(() => renderings.get(xid)) ?? []),
        next
      )
      void reply
        .type(JSON_TYPE)
        .header('content-length', bytes)
        .send(text as never)
    }
  })

  app.get('/contexts/:xid', {
    config: { action: 'read' },
    schema: {
      summary: 'Get all of a context',
      description: 'With an ETag; 304 where If-None-Match has it.',
      operationId: 'get_context',
      tags,
      params: XidParams,
      headers: IfNoneMatch,
      response: {
        200: answer(ref(Context), 'The context.', { ETag }),
        304: Type.Null({ description: 'It has the ETag that If-None-Match names.' }),
        ...problems
      }
    },
    handler: (request, reply) => {
      const { json, etag } = renderings.get(request.params.xid)
      void reply.header('etag', etag)
      void reply.type(JSON_TYPE).send(json as never)
    }
  })

  app.put('/contexts/:xid', {
    config: { action: 'create', ifExists: 'configure' },
    schema: {
      summary: 'Create a context or bring it to this state',
      description:
        'What the body leaves out stays as it is. With `If-None-Match: *` a context that is there already is 412. A running init is never restarted. An existing context takes the action configure, and execute for an init.',
      operationId: 'apply_context',
      tags,
      params: XidParams,
      querystring: WriteQuery,
      headers: Type.Object({ ...IfMatch.properties, ...IfNoneMatch.properties }),
      body: ref(ContextBody),
      response: {
        200: answer(AppliedOrChange, 'The context and what was changed. With `dry_run`: what would be done.', { ETag }),
        201: answer(ref(AppliedContext), 'The new context.', { ETag, Location }),
        ...problems
      }
    },
    handler: async (request, reply) => {
      const { xid } = request.params
      // Asked again once nobody else is at it.
      const mustBeNew = request.headers['if-none-match']?.trim() === '*'
      const { changed, warnings } = await contexts.apply(xid, request.body, {
        ...writeOf(request, request.query),
        mustBeNew
      })
      if (request.query.dry_run) return reply.send({ xid, changed, dry_run: true })
      const { json, etag } = renderings.get(xid)
      const created = changed.includes('created')
      void reply
        .code(created ? 201 : 200)
        .header('etag', etag)
        .type(JSON_TYPE)
      if (created) void reply.header('location', `/contexts/${xid}`)
      return reply.send(withMore(json, { changed, warnings }) as never)
    }
  })

  app.delete('/contexts/:xid', {
    config: { action: 'destroy' },
    schema: {
      summary: 'End a context',
      description:
        'Signal, grace, SIGKILL. The context is gone when this answers. A paused one goes on to act on the signal, unless the grace is 0.',
      operationId: 'destroy_context',
      tags,
      params: XidParams,
      querystring: DestroyQuery,
      headers: IfMatch,
      response: { 200: ref(Change), 204: Type.Null({ description: 'Gone.' }), ...problems }
    },
    handler: async (request, reply) => {
      const { signal = 'SIGTERM', grace = DEFAULT_GRACE_S, dry_run } = request.query
      const { xid, changed } = await contexts.destroy(
        request.params.xid,
        parseSignal(signal),
        grace * 1000,
        writeOf(request, { dry_run })
      )
      if (dry_run) return reply.send({ xid, changed, dry_run })
      renderings.forget(xid)
      return reply.code(204).send(null)
    }
  })
}

/** The JSON text of an object with more in it; `warnings` only where there are some. */
function withMore(
  json: string,
  { warnings = [], ...more }: { changed?: string[]; warnings?: string[] | undefined }
): string {
  const added = JSON.stringify({ ...more, ...(warnings.length > 0 && { warnings }) }).slice(1)
  return added === '}' ? json : `${json.slice(0, -1)},${added}`
}

/** The report of a context that ends in time; undefined for one that does not, or that nobody waits for any more. */
async function endedWithin(
  ended: Promise<ExitReport> | undefined,
  wait: AbortController,
  limitMs: number | undefined
): Promise<ExitReport | undefined> {
  const timer =
    limitMs === undefined
      ? undefined
      : setTimeout(() => {
          wait.abort()
        }, limitMs)
  try {
    return await ended
  } catch (error) {
    if (wait.signal.aborted) return undefined
    throw error
  } finally {
    clearTimeout(timer)
  }
}

import { unameField, unameView } from '../contexts/view.js'
import { IfMatch, ref, WriteQuery, XidParams } from '../schemas/common.js'
import { problems } from '../schemas/problem.js'
import {
  ChangedUname,
  ChangedUnameField,
  Uname,
  UnameFieldParams,
  UnameFieldReply,
  UnamePatch,
  UnameValue
} from '../schemas/uname.js'
import { writeOf, type App, type Resources } from './types.js'

const tags = ['uname']

/** /contexts/:xid/uname and its fields. */
export function unameRoutes(app: App, { contexts, driver }: Resources): void {
  app.get('/contexts/:xid/uname', {
    config: { action: 'read' },
    schema: {
      summary: 'Get virtual system information',
      description: 'vx_uname_get of every field.',
      operationId: 'vx_uname_get_all',
      tags,
      params: XidParams,
      response: { 200: ref(Uname), ...problems }
    },
    handler: async (request) => unameView(driver, request.params.xid)
  })

  app.patch('/contexts/:xid/uname', {
    config: { action: 'configure' },
    schema: {
      summary: 'Set some of the virtual system information',
      description: 'vx_uname_set of each field that differs.',
      operationId: 'vx_uname_set_some',
      tags,
      params: XidParams,
      querystring: WriteQuery,
      headers: IfMatch,
      body: ref(UnamePatch),
      response: { 200: ref(ChangedUname), ...problems }
    },
    handler: async (request) => {
      const { xid } = request.params
      const changed = await contexts.setUname(xid, request.body, writeOf(request, request.query))
      // After a dry run this shows the names as they are.
      return { ...unameView(driver, xid), changed }
    }
  })

  app.get('/contexts/:xid/uname/:field', {
    config: { action: 'read' },
    schema: {
      summary: 'Get one field',
      description: 'vx_uname_get',
      operationId: 'vx_uname_get',
      tags,
      params: UnameFieldParams,
      response: { 200: ref(UnameFieldReply), ...problems }
    },
    handler: async ({ params: { xid, field } }) => ({ field, value: unameField(driver, xid, field) })
  })

  app.put('/contexts/:xid/uname/:field', {
    config: { action: 'configure' },
    schema: {
      summary: 'Set one field',
      description: 'vx_uname_set',
      operationId: 'vx_uname_set',
      tags,
      params: UnameFieldParams,
      querystring: WriteQuery,
      headers: IfMatch,
      body: ref(UnameValue),
      response: { 200: ref(ChangedUnameField), ...problems }
    },
    handler: async (request) => {
      const { xid, field } = request.params
      const changed = await contexts.setUname(xid, { [field]: request.body.value }, writeOf(request, request.query))
      return { field, value: unameField(driver, xid, field), changed: changed.length > 0 }
    }
  })
}

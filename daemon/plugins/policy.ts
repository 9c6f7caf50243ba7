/** Whether this caller may do this: decided by its connection's policy, before the body is looked at. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { Access, OwnerOf } from '../policy/access.js'
import type { Policy } from '../policy/policy.js'
import type { Action } from '../schemas/policy.js'
import { declared } from './declared.js'
import { xidInPath } from './problems.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route does; there is none without. */
    action?: Action
    /** What it does instead where the context of its path is there already. */
    ifExists?: Action
  }
  interface FastifyRequest {
    /** What the caller may do. */
    access: Access
  }
  interface FastifySchema {
    'x-contextd-action'?: Action
  }
}

/** Where a policy comes from; another one after a reload. */
export interface PolicySource {
  readonly current: Policy
}

/**
 * After addPeers and before the routes.
 * @param policyOf the policy of the socket that a connection came in by
 */
export function addPolicy(
  app: FastifyInstance,
  policyOf: (connection: Socket) => PolicySource,
  { exists, ownerOf }: { exists: (xid: number) => boolean; ownerOf: OwnerOf }
): void {
  const known = new WeakMap<Socket, { policy: Policy; access: Access }>()

  function accessOf({ peer, raw: { socket } }: FastifyRequest): Access {
    const policy = policyOf(socket).current
    const kept = known.get(socket)
    if (kept?.policy === policy) return kept.access
    const access = policy.accessOf(peer, ownerOf)
    known.set(socket, { policy, access })
    return access
  }

  app.addHook('onRoute', (route) => {
    const action = route.config?.action
    if (!action) throw new Error(`${String(route.method)} ${route.url} declares no action`)
    if (route.schema) route.schema['x-contextd-action'] = action
  })

  app.decorateRequest('access')
  app.addHook('onRequest', (request, _reply, done) => {
    const access = accessOf(request)
    request.access = access
    // A path that is nobody's is told to whoever may read something.
    const { action = 'read', ifExists } = declared(request)
    const may = access.maySome(action) || (ifExists !== undefined && access.maySome(ifExists))
    done(may ? undefined : access.denied(action, xidInPath(request)))
  })

  // Once more when the body is there, which may have taken its time, and from here to the handler nothing is waited for.
  app.addHook('preValidation', (request, _reply, done) => {
    const { action = 'read', ifExists } = declared(request)
    const xid = xidInPath(request)
    const { access } = request
    if (xid === undefined) done()
    else if (ifExists !== undefined) done(access.deniedToApply(xid, exists(xid)))
    else done(access.may(action, xid) ? undefined : access.denied(action, xid))
  })
}

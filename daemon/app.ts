import { setMaxListeners } from 'node:events'
import Fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { defaultLimits, type ServiceLimits } from './admission/limits.js'
import { slotsOf } from './admission/slots.js'
import type { AuditLog } from './audit/log.js'
import { Contexts } from './contexts/contexts.js'
import { Idempotency } from './contexts/idempotency.js'
import type { Driver, HelperCall } from './drivers/driver.js'
import { emptyLogs, type GuestLogs } from './logs/logs.js'
import { Events } from './events/events.js'
import { Metrics } from './metrics/metrics.js'
import { addAdmission } from './plugins/admission.js'
import { addAudit } from './plugins/audit.js'
import { addDocs } from './plugins/docs.js'
import { addEvents } from './plugins/events.js'
import { addHalfOpen } from './plugins/half-open.js'
import { addHosts } from './plugins/hosts.js'
import { addMetrics } from './plugins/metrics.js'
import { addMethods } from './plugins/methods.js'
import { addDocument, addOpenapi } from './plugins/openapi.js'
import { addNewlines } from './plugins/newline.js'
import { addPeers, type Peer } from './plugins/peers.js'
import { addPolicy, type PolicySource } from './plugins/policy.js'
import { addProblems, answerClientError, problemOf, sendProblem } from './plugins/problems.js'
import { addRequestLog } from './plugins/request-log.js'
import { addSendTimeout } from './plugins/send-timeout.js'
import { addText } from './plugins/text.js'
import { addUnread, UnreadBodies } from './plugins/unread.js'
import { addValidation } from './plugins/validation.js'
import { auditRoutes } from './routes/audit.js'
import { contextRoutes } from './routes/contexts.js'
import { eventRoutes } from './routes/events.js'
import { hostRoutes } from './routes/host.js'
import { lifeRoutes } from './routes/life.js'
import { limitRoutes } from './routes/limits.js'
import { metricsRoutes } from './routes/metrics.js'
import { logRoutes } from './routes/log.js'
import { processRoutes } from './routes/processes.js'
import type { App, Resources } from './routes/types.js'
import { unameRoutes } from './routes/uname.js'
import { wordRoutes } from './routes/words.js'
import { components } from './schemas/index.js'

/** Between two looks for connections that are over their time, at most; ms. */
const CHECK_MS = 1000

export interface AppOptions {
  driver: Driver
  audit: AuditLog
  /** Credentials of a connection's other end; throws when it cannot tell. */
  identify: (socket: Socket) => Peer
  /** Whether a connection's other end is closed altogether, and does not only send no more. */
  hasHungUp?: (socket: Socket) => boolean
  /** Host headers beside names without a dot and addresses of loopback. */
  allowedHosts?: readonly string[]
  /** The policy of the socket that a connection came in by. */
  policyOf: (connection: Socket) => PolicySource
  /** What guests wrote; default nothing. */
  logs?: GuestLogs
  /** Why the drivers before this one were not taken. */
  passed?: string[]
  /** Is run for what guests ask of the host; resolves with why it failed. */
  helper?: { run: (call: HelperCall) => Promise<string | undefined> } | undefined
  logger: FastifyBaseLogger
  limits?: ServiceLimits
  /** Events kept for readers that come back. */
  eventHistory?: number | undefined
  /** Metrics of each context, too. */
  contextMetrics?: boolean
}

/** The whole HTTP application over one driver. It never listens: main.ts does, and tests inject. */
export async function buildApp(options: AppOptions): Promise<App> {
  const {
    driver,
    audit,
    identify,
    policyOf,
    hasHungUp,
    logs = emptyLogs,
    passed = [],
    helper,
    limits = defaultLimits
  } = options
  const events = new Events((xid) => driver.ownerOf(xid), options.eventHistory)
  const slots = slotsOf(limits)
  const metrics = new Metrics({ driver, audit, events, slots })
  const unread = new UnreadBodies(limits.bodyLimit)
  const app: App = Fastify({
    bodyLimit: limits.bodyLimit,
    requestTimeout: limits.requestTimeout * 1000,
    keepAliveTimeout: limits.idleTimeout * 1000,
    http: {
      maxHeaderSize: limits.headerLimit,
      requireHostHeader: false, // hosts.ts does, with a problem for an answer
      requestTimeout: limits.requestTimeout * 1000, // what the next one is checked against
      headersTimeout: Math.min(limits.headerTimeout, limits.requestTimeout) * 1000,
      connectionsCheckingInterval: CHECK_MS
    },
    genReqId: requestIds(),
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: 'idle',
    loggerInstance: options.logger,
    // One for each request costs more than most requests have to log: who logs says the id.
    childLoggerFactory: (logger) => logger,
    clientErrorHandler: (error, socket) => {
      if (unread.has(socket)) {
        socket.destroy()
        return
      }
      metrics.malformed()
      answerClientError(error, socket)
    },
    // What fails before there is a route, such as a path that is no URL, is a problem like any other.
    frameworkErrors: (error, request, reply) => {
      unread.discard(request.raw) // it passes no hook
      void sendProblem(reply, problemOf(error))
    },
    // Strict, as the API's fields are: no guessing at paths.
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: 100 }
  }).withTypeProvider<TypeBoxTypeProvider>()
  driver.onError = (error) => {
    app.log.error({ err: error }, 'driver')
  }
  driver.onHelper = (call) => {
    app.log.info({ helper: call }, 'helper')
    audit.append({ event: 'helper', ...call })
    void helper?.run(call).then((reason) => {
      if (reason !== undefined) app.log.warn({ helper: call, reason }, 'the helper failed')
    })
    const { xid, action, uid, pid } = call
    events.tell({ type: 'helper', xid, action, uid, pid })
  }

  for (const schema of components) app.addSchema(schema)
  // Replies are small and typed by their schemas; a compiled serializer for each would cost 30 MB and saves nothing.
  app.setSerializerCompiler(() => JSON.stringify)
  addProblems(app)
  addValidation(app)
  addRequestLog(app)
  addMetrics(app, metrics)
  addAudit(app, audit, limits.bodyLimit)
  addEvents(app, events)
  addSendTimeout(app, limits.sendTimeout)
  addUnread(app, unread)
  addPeers(app, identify, slots.connections)
  if (hasHungUp) addHalfOpen(app, hasHungUp)
  addHosts(app, options.allowedHosts ?? [])
  addText(app)
  await addAdmission(app, slots, limits)
  const contexts = new Contexts(driver, events, logs)
  addPolicy(app, policyOf, { exists: (xid) => driver.exists(xid), ownerOf: contexts.ownerOf })
  addMethods(app)
  await addOpenapi(app)

  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal) // one for each request that may take its time
  app.addHook('preClose', (done) => {
    stopping.abort()
    done()
  })
  // A connection with a request under way would be kept alive after its answer, and keep the daemon from ending.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (stopping.signal.aborted) void reply.header('connection', 'close')
    done(null, payload)
  })
  addNewlines(app)
  const resources: Resources = {
    audit,
    contexts,
    idempotency: new Idempotency(),
    driver,
    passed,
    events,
    metrics,
    contextMetrics: options.contextMetrics ?? false,
    stopping: stopping.signal
  }
  const all = [
    hostRoutes,
    contextRoutes,
    lifeRoutes,
    wordRoutes,
    unameRoutes,
    limitRoutes,
    processRoutes,
    logRoutes,
    auditRoutes,
    eventRoutes,
    metricsRoutes
  ]
  for (const routes of all) routes(app, resources)
  addDocument(app)
  addDocs(app)
  app.addHook('onReady', (done) => {
    driver.catchUp?.()
    done()
  })
  return app
}

/** The same id is never given again, by a later daemon either. */
function requestIds(): () => string {
  const daemon = randomBytes(6).toString('base64url')
  let count = 0
  return () => `${daemon}-${(++count).toString(36)}`
}

import Fastify, { LogController, type FastifyBaseLogger } from 'fastify'
import type { Socket } from 'node:net'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { pino } from 'pino'
import type { AuditLog } from './audit/log.js'
import { Contexts } from './contexts/contexts.js'
import type { Driver } from './drivers/driver.js'
import { addAudit } from './plugins/audit.js'
import { collectMethods } from './plugins/methods.js'
import { addDocument, addOpenapi } from './plugins/openapi.js'
import { addPeers, type Peer } from './plugins/peers.js'
import { addProblems, answerClientError, problemOf, sendProblem } from './plugins/problems.js'
import { addValidation } from './plugins/validation.js'
import { contextRoutes } from './routes/contexts.js'
import { hostRoutes } from './routes/host.js'
import { lifeRoutes } from './routes/life.js'
import { processRoutes } from './routes/processes.js'
import type { App, Resources } from './routes/types.js'
import { unameRoutes } from './routes/uname.js'
import { wordRoutes } from './routes/words.js'
import { components } from './schemas/index.js'

/** Largest request body, bytes. */
const BODY_LIMIT = 65_536

export interface AppOptions {
  driver: Driver
  audit: AuditLog
  /** Credentials of a connection's other end; throws when it cannot tell. */
  identify: (socket: Socket) => Peer
  /** Why the drivers before this one were not taken. */
  passed?: string[]
  /** A pino level; `silent` logs nothing. */
  logLevel?: string
}

/** The whole HTTP application over one driver. It never listens: main.ts does, and tests inject. */
export async function buildApp(options: AppOptions): Promise<App> {
  const { driver, audit, identify, passed = [], logLevel = 'info' } = options
  const logger: FastifyBaseLogger = pino({ level: logLevel }, pino.destination({ dest: 2, sync: true }))
  const app: App = Fastify({
    bodyLimit: BODY_LIMIT,
    // Reads are too many and too fast to log; writes are in the audit log, failures in the error handler.
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: 'idle',
    loggerInstance: logger,
    clientErrorHandler: answerClientError,
    // What fails before there is a route, such as a path that is no URL, is a problem like any other.
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, problemOf(error)),
    // Strict, as the API's fields are: no guessing at paths.
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: 100 }
  }).withTypeProvider<TypeBoxTypeProvider>()
  driver.onError = (error) => {
    app.log.error({ err: error }, 'driver')
  }

  for (const schema of components) app.addSchema(schema)
  // Replies are small and typed by their schemas; a compiled serializer for each would cost 30 MB and saves nothing.
  app.setSerializerCompiler(() => JSON.stringify)
  addProblems(app)
  addValidation(app)
  addAudit(app, audit)
  addPeers(app, identify)
  const refuseOtherMethods = collectMethods(app)
  await addOpenapi(app)

  const stopping = new AbortController()
  app.addHook('preClose', (done) => {
    stopping.abort()
    done()
  })
  // A connection with a request under way would be kept alive after its answer, and keep the daemon from ending.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (stopping.signal.aborted) void reply.header('connection', 'close')
    done(null, payload)
  })
  const resources: Resources = { contexts: new Contexts(driver), driver, passed, stopping: stopping.signal }
  for (const routes of [hostRoutes, contextRoutes, lifeRoutes, wordRoutes, unameRoutes, processRoutes])
    routes(app, resources)
  addDocument(app)
  refuseOtherMethods()
  return app
}

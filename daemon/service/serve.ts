import { resolve } from 'node:path'
import { buildApp } from '../app.js'
import { AuditLog } from '../audit/log.js'
import type { Config } from '../config.js'
import { captureMemory } from '../drivers/capture-memory.js'
import { selectDriver } from '../drivers/select.js'
import { native } from '../drivers/native.js'
import { openLogs } from '../logs/open.js'
import { gidOf } from '../policy/accounts.js'
import { CONTEXTD_GROUP } from '../policy/file.js'
import type { SocketSpec } from '../socket-spec.js'
import { version } from '../package.js'
import { HelperHook } from './helper-hook.js'
import { passedSockets } from './listen-fds.js'
import { Listeners } from './listeners.js'
import { openLogger } from './logger.js'
import { ServiceManager } from './notify.js'
import { fdOf, identifyBy } from './peer.js'
import { Policies } from './policies.js'
import { Reloads } from './reload.js'
import { DEFAULT_MODE, keepSocket, type KeptSocket, listenOn, type SocketFile } from './socket.js'
import { keepWatchdog } from './watchdog.js'

/** What takes longer to end is cut off. */
const STOP_TIMEOUT_MS = 10_000
/** How long the rest of a stop may take then. */
const CUT_TIMEOUT_MS = 1000

/** Serves until SIGTERM or SIGINT. Rejects when the start fails; nothing is left behind then. */
export async function serve(config: Config): Promise<void> {
  const logger = await openLogger(config.logLevel, process.env)
  const helper = config.helper === undefined ? undefined : new HelperHook(config.helper)
  const manager = new ServiceManager(process.env)
  const activated = passedSockets(process.env)
  const files = config.sockets.map(socketFile)
  const policies = new Policies(
    config,
    (activated.length > 0 ? activated : files).map(({ path }) => path)
  )
  const logs = await openLogs(config)
  captureMemory.limit = config.captureMemory
  const { driver, passed } = await selectDriver({
    name: config.driver,
    cgroupRoot: config.cgroupRoot,
    procVirtual: config.procVirtual,
    stateDir: resolve(config.stateDir),
    log: logs.target,
    defaultPidsMax: config.defaultPidsMax,
    allowMemory: config.dev,
    warn: (error) => process.stderr.write(`contextd: not taken over: ${String(error)}\n`)
  })
  const audit = new AuditLog(config.auditLog, config.auditFailure)
  const app = await buildApp({
    driver,
    audit,
    logs,
    passed,
    identify: identifyBy(driver),
    policyOf: policies.of,
    allowedHosts: config.allowedHosts,
    hasHungUp: (socket) => native.hasHungUp(fdOf(socket)),
    helper,
    logger,
    limits: config.limits,
    eventHistory: config.eventHistory,
    contextMetrics: config.contextMetrics
  })
  manager.onError = (error) => {
    app.log.warn({ err: error }, 'service manager')
  }
  audit.onError = (message, error) => {
    app.log.error({ err: error }, message)
  }
  const reloads = new Reloads(app.log)
  for (const policy of policies.files)
    reloads.add(`policy ${policy.path}`, () => {
      policy.reload()
      app.events.readers.end() // they come back, and are asked for what they may read now
    })
  reloads.add('audit log', () => audit.reopen())
  process.on('SIGHUP', () => void manager.reloading(() => reloads.run()))
  await app.ready()
  const listeners = new Listeners(app)
  const kept: KeptSocket[] = []
  try {
    if (activated.length > 0) audit.open()
    for (const { fd, path } of activated) await listeners.open({ fd }, policies.noteOf(path))
    if (activated.length === 0)
      for (const file of files) {
        const { path } = file
        const listen = () => {
          audit.open() // not before this daemon is the one that serves the socket
          return listeners.open({ path }, policies.noteOf(path))
        }
        const release = await listenOn(file, listen)
        const told = (message: string, error?: unknown) => {
          app.log.warn({ err: error }, message)
        }
        kept.push(keepSocket(file, release, listen, told))
      }
  } catch (error) {
    await Promise.all(kept.map(({ leave }) => leave()))
    await listeners.close() // with the sockets' files that were made
    for (const { release } of kept) release()
    throw error
  }
  app.log.info({ sockets: activated.length > 0 ? activated : files.map(({ path }) => ({ path })) }, 'listening')

  const modelOnly = driver.name === 'memory'
  if (modelOnly) app.log.warn({ passed }, 'memory driver: a model, no real process runs')
  else app.log.info({ driver: driver.name, about: driver.about }, 'driver')
  for (const warning of driver.warnings ?? []) app.log.warn(warning)
  if (config.dev) process.stdout.write(greeting(files[0]?.path ?? '', driver.name, passed))
  const status = () => `${driver.list().length} contexts, ${driver.name} driver`
  await manager.ready(status())
  const leaveWatchdog = keepWatchdog(manager, status)

  const signal = await new Promise<string>((stop) => {
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
  app.log.info({ signal }, 'stopping; guests go on')
  leaveWatchdog()
  await manager.stopping()
  const limit = setTimeout(() => {
    app.log.warn({ connections: listeners.cut() }, `cut off after ${STOP_TIMEOUT_MS / 1000} s`)
    setTimeout(() => process.exit(1), CUT_TIMEOUT_MS).unref()
  }, STOP_TIMEOUT_MS)
  await Promise.all(kept.map(({ leave }) => leave()))
  const closed = listeners.close() // before the application, which answers what is under way
  await app.close()
  await closed
  clearTimeout(limit)
  await driver.close()
  logs.close()
  await audit.close()
  for (const { release } of kept) release()
}

/** The group contextd has the socket where there is such a group, unless another one is asked for. */
function socketFile({ path, mode = DEFAULT_MODE, group }: SocketSpec): SocketFile {
  const isRoot = process.geteuid?.() === 0
  const gid = group !== undefined || isRoot ? gidOf(group ?? CONTEXTD_GROUP) : undefined
  if (group !== undefined && gid === undefined) throw new Error(`socket ${path}: there is no group "${group}"`)
  return { path: resolve(path), mode, gid }
}

/** Three requests to start with; they work as printed. */
function greeting(path: string, driver: string, passed: string[]): string {
  const curl = `curl -s --unix-socket ${path}`
  const json = "-H 'content-type: application/json'"
  const model =
    driver === 'memory'
      ? [`No real driver works here, so this is a model and nothing runs:`, ...passed.map((why) => `  ${why}`)]
      : []
  return [
    '',
    `contextd ${version}, ${driver} driver. Ctrl-C stops the daemon${driver === 'memory' ? '' : ' and leaves guests running'}.`,
    ...model,
    'In another terminal:',
    '',
    `  ${curl} http://localhost/version`,
    `  ${curl} -X PUT http://localhost/contexts/100 ${json} -d '{"name":"web1","flags":["PERSISTENT"],"uname":{"nodename":"web1"},"init":{"argv":["sleep","1000"]}}'`,
    `  ${curl} -X POST http://localhost/contexts/100/processes ${json} -d '{"argv":["hostname"],"capture":true}'`,
    '',
    ''
  ].join('\n')
}

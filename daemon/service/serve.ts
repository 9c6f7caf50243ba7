import { resolve } from 'node:path'
import { buildApp } from '../app.js'
import { AuditLog } from '../audit/log.js'
import type { Config } from '../config.js'
import { selectDriver } from '../drivers/select.js'
import { version } from '../version.js'
import { identifyBy } from './peer.js'
import { listenOn } from './socket.js'

/** A stop that takes longer is cut short. */
const STOP_TIMEOUT_MS = 10_000

/** Serves until SIGTERM or SIGINT. Rejects when the start fails; nothing is left behind then. */
export async function serve(config: Config): Promise<void> {
  const { driver, passed } = await selectDriver({
    name: config.driver,
    cgroupRoot: config.cgroupRoot,
    allowMemory: config.dev,
    warn: (error) => process.stderr.write(`contextd: not taken over: ${String(error)}\n`)
  })
  const audit = new AuditLog(config.auditLog)
  const app = await buildApp({ driver, audit, passed, identify: identifyBy(driver), logLevel: config.logLevel })
  const path = resolve(config.socket)
  const release = await listenOn(path, () => app.listen({ path }))

  const modelOnly = driver.name === 'memory'
  if (modelOnly) app.log.warn({ passed }, 'memory driver: a model, no real process runs')
  else app.log.info({ driver: driver.name, about: driver.about }, 'driver')
  if (config.dev) process.stdout.write(greeting(path, driver.name, passed))

  await new Promise<void>((stopped) => {
    const stop = (signal: string) => {
      app.log.info({ signal }, 'stopping; guests go on')
      const limit = setTimeout(() => process.exit(1), STOP_TIMEOUT_MS)
      app.close().then(
        () => {
          clearTimeout(limit)
          stopped()
        },
        (error: unknown) => {
          app.log.error({ err: error }, 'stop')
          process.exit(1)
        }
      )
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
  })
  await driver.close()
  audit.close()
  release()
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

/** What the service manager is told: sd_notify(3). Where nobody asked to be told, all of this does nothing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CallError } from '../drivers/errors.js'
import { native } from '../drivers/native.js'

/** The manager's queue is full: until it has read on, but not for ever. */
const RETRY_MS = 20
const MAX_TRIES = 50

const NS_PER_US = 1000n
const MS_PER_US = 0.001

export class ServiceManager {
  readonly #address: string | undefined
  /** How often the manager wants to hear of this process, milliseconds; undefined when it does not. */
  readonly watchdogMs: number | undefined
  /** Hears of what could not be told. */
  onError: (error: unknown) => void = (error) => process.stderr.write(`contextd: service manager: ${String(error)}\n`)
  #status = ''

  /** @param env whose variables are taken out, for no child is meant by them */
  constructor(env: NodeJS.ProcessEnv) {
    const { NOTIFY_SOCKET: address, WATCHDOG_USEC: interval, WATCHDOG_PID: pid } = env
    for (const variable of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(env, variable)
    this.#address = address
    const isOurs = pid === undefined || Number(pid) === process.pid
    if (address !== undefined && interval !== undefined && isOurs && Number(interval) > 0)
      this.watchdogMs = Number(interval) * MS_PER_US
  }

  ready(status: string): Promise<void> {
    this.#status = status
    return this.#send({ READY: 1, STATUS: status })
  }

  /** Sent when it differs from the last one. */
  async status(status: string): Promise<void> {
    if (status === this.#status) return
    this.#status = status
    await this.#send({ STATUS: status })
  }

  /** Around a reload; the time lets the manager tell this one from an earlier one (Type=notify-reload). */
  async reloading(reload: () => Promise<void>): Promise<void> {
    await this.#send({ RELOADING: 1, MONOTONIC_USEC: process.hrtime.bigint() / NS_PER_US, STATUS: 'Reloading' })
    await reload()
    await this.#send({ READY: 1, STATUS: this.#status })
  }

  stopping(): Promise<void> {
    return this.#send({ STOPPING: 1, STATUS: 'Stopping; guests go on' })
  }

  alive(): Promise<void> {
    return this.#send({ WATCHDOG: 1 })
  }

  async #send(fields: Record<string, string | number | bigint>): Promise<void> {
    if (this.#address === undefined) return
    const state = Object.entries(fields)
      .map(([key, value]) => `${key}=${value}`)
      .join('\n')
    for (let tries = 1; ; tries++)
      try {
        native.notify(this.#address, state)
        return
      } catch (error) {
        if (!(error instanceof CallError && error.code === 'EAGAIN' && tries < MAX_TRIES)) {
          this.onError(error)
          return
        }
        await sleep(RETRY_MS)
      }
  }
}

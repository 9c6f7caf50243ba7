/** The operator's own program for what guests ask of the host and for changes of their state (`--helper`). */
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { isAbsolute } from 'node:path'
import { Locks } from '../contexts/locks.js'
import type { HelperCall } from '../drivers/driver.js'
import { UsageError } from '../usage-error.js'
import { rebootCommands } from '../vocabulary/reboot.js'

const DEFAULT_TIMEOUT_MS = 10_000

/** VS_CMD of each action, as kernel.vshelper gets it (kernel/vserver/helper.c). */
const commands: Record<string, number> = {
  startup: 1,
  shutdown: 2,
  ...Object.fromEntries(rebootCommands.map(({ name, cmd }) => [name.toLowerCase(), cmd]))
}

/** As the kernel gives it to kernel.vshelper. */
const environment = { HOME: '/', TERM: 'linux', PATH: '/sbin:/usr/sbin:/bin:/usr/bin' }

export class HelperHook {
  /** The calls of one context in their order; contexts do not wait for each other. */
  readonly #order = new Locks()

  /**
   * @param path absolute path of a program
   * @param timeoutMs until SIGKILL
   * @throws UsageError when it cannot be executed
   */
  constructor(
    private readonly path: string,
    private readonly timeoutMs = DEFAULT_TIMEOUT_MS
  ) {
    if (!isAbsolute(path)) throw new UsageError(`helper ${path}: not an absolute path`)
    try {
      accessSync(path, constants.X_OK)
    } catch (error) {
      throw new UsageError(`helper ${path}: ${(error as NodeJS.ErrnoException).code}`)
    }
  }

  /** Runs `PATH ACTION XID`, no shell in between. Never rejects; resolves with why it failed, if it did. */
  run(call: HelperCall): Promise<string | undefined> {
    return this.#order.run(call.xid, () => this.#run(call))
  }

  #run({ action, xid, uid, pid }: HelperCall): Promise<string | undefined> {
    const more = {
      ...(commands[action] !== undefined && { VS_CMD: commands[action].toString(16).padStart(8, '0') }),
      ...(uid !== null && { VS_UID: String(uid) }),
      ...(pid !== null && { VS_PID: String(pid) })
    }
    return new Promise((resolve) => {
      const child = spawn(this.path, [action, String(xid)], {
        cwd: '/',
        env: { ...environment, ...more },
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: this.timeoutMs,
        killSignal: 'SIGKILL'
      })
      child.once('error', ({ message }) => {
        resolve(message)
      })
      child.once('exit', (code, signal) => {
        resolve(code === 0 ? undefined : signal === null ? `exit code ${code}` : `ended by ${signal}`)
      })
    })
  }
}

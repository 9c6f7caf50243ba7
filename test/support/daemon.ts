/** A real daemon for a test: its own directory, socket and cgroup root, everything gone afterwards. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request as httpRequest, type ClientRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cgroup2Mounts, killAll, removeTree } from '../../daemon/drivers/namespaces/cgroups.js'

export const mainPath = fileURLToPath(new URL('../../daemon/main.js', import.meta.url))

export interface Reply {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The parsed body; undefined when it is empty or no JSON. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into replies of every shape
  body: any
}

export interface RequestOptions {
  headers?: Record<string, string>
  /** Sent as it is, instead of a JSON body. */
  raw?: string | Buffer
}

export interface StartOptions {
  /** Where to serve; default is below the daemon's own directory. */
  socket?: string
  /** Where to log; the same default. */
  auditLog?: string
}

/** A cgroup directory of the test's own, or undefined where there is no cgroup2 mount. */
function ownCgroupRoot(): string | undefined {
  const [mount] = cgroup2Mounts()
  return mount && join(mount.path, `contextd-test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`)
}

export class TestDaemon {
  readonly directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  readonly socket: string
  readonly auditLog: string
  readonly cgroupRoot = ownCgroupRoot()
  stderr = ''
  #child: ChildProcess | undefined
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 200 })

  private constructor(
    readonly driver: string,
    { socket, auditLog }: StartOptions
  ) {
    this.socket = socket ?? join(this.directory, 'run', 'contextd.sock')
    this.auditLog = auditLog ?? join(this.directory, 'audit.log')
  }

  static async start(driver: string, options: StartOptions = {}): Promise<TestDaemon> {
    const daemon = new TestDaemon(driver, options)
    try {
      await daemon.boot()
    } catch (error) {
      await daemon.cleanUp()
      throw error
    }
    return daemon
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Starts the daemon, again after stop(). */
  async boot(): Promise<void> {
    const roots = this.driver === 'namespaces' && this.cgroupRoot ? ['--cgroup-root', this.cgroupRoot] : []
    const args = ['serve', '--driver', this.driver, '--socket', this.socket, '--audit-log', this.auditLog, ...roots]
    const child = spawn(process.execPath, [mainPath, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    for (let waited = 0; ; waited += 20) {
      if (child.exitCode !== null) throw new Error(`the daemon did not start:\n${this.stderr}`)
      if (existsSync(this.socket) && (await this.#answers())) return
      if (waited > 20_000) throw new Error(`the daemon does not answer:\n${this.stderr}`)
      await sleep(20)
    }
  }

  async #answers(): Promise<boolean> {
    try {
      return (await this.get('/health')).status === 200
    } catch {
      return false
    }
  }

  /** Ends the daemon and returns its exit code; guests go on. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#child
    if (child?.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
    return child.exitCode
  }

  /** Ends everything and removes every trace. */
  async cleanUp(): Promise<void> {
    await this.stop()
    this.#agent.destroy()
    if (this.cgroupRoot && existsSync(this.cgroupRoot)) {
      killAll(this.cgroupRoot)
      for (let tries = 0; ; tries++) {
        try {
          removeTree(this.cgroupRoot)
          break
        } catch (error) {
          if (tries === 100) throw error
          await sleep(20)
        }
      }
    }
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Sends a request and resolves with the whole answer. */
  request(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.open(method, path, body, options, resolve, reject)
    })
  }

  /** The same, returning the request, so that a test can hang up. */
  open(
    method: string,
    path: string,
    body: unknown,
    options: RequestOptions,
    resolve: (reply: Reply) => void,
    reject: (error: Error) => void
  ): ClientRequest {
    const payload = options.raw ?? (body === undefined ? undefined : JSON.stringify(body))
    const headers = { ...(payload !== undefined && { 'content-type': 'application/json' }), ...options.headers }
    const request = httpRequest({ socketPath: this.socket, agent: this.#agent, method, path, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        const isJson = String(response.headers['content-type']).includes('json') && text !== ''
        const parsed: unknown = isJson ? JSON.parse(text) : undefined
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parsed })
      })
    })
    request.on('error', reject)
    request.end(payload)
    return request
  }

  get = (path: string, options?: RequestOptions) => this.request('GET', path, undefined, options)
  post = (path: string, body?: unknown, options?: RequestOptions) => this.request('POST', path, body, options)
  put = (path: string, body?: unknown, options?: RequestOptions) => this.request('PUT', path, body, options)
  patch = (path: string, body?: unknown, options?: RequestOptions) => this.request('PATCH', path, body, options)
  delete = (path: string, options?: RequestOptions) => this.request('DELETE', path, undefined, options)

  /** The audit log's records. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look into records of every shape
  audit(): any[] {
    return readFileSync(this.auditLog, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
  }
}

/** A real daemon for a test: its own directory, socket and cgroup root, everything gone afterwards. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request as httpRequest, type ClientRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cgroup2Mounts } from '../../daemon/drivers/namespaces/cgroup2-mounts.js'
import { killAll, removeTree } from '../../daemon/drivers/namespaces/cgroups.js'
import { contextsInKernel, emulatorPath, endContext, hasVserver } from './emulator.js'
import { allPids, holds } from './leftovers.js'
import { until } from './poll.js'
import { childrenOf, statusField } from './proc.js'

/** Of a machine that is loaded or emulated. One that fails to start ends by itself. */
const BOOT_TIMEOUT_MS = 120_000

/** At once. Those that are not accepted yet are 128 at most before Linux 5.4 (net.core.somaxconn). */
export const MOST_CONNECTIONS = 120

/** The program that a Linux-VServer kernel runs for guests. */
const HELPER_SYSCTL = '/proc/sys/kernel/vshelper'

/** Longer than any answer takes that comes at all; a test that hangs says then what it has asked. */
const ANSWER_TIMEOUT_MS = 300_000

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
  /** A policy file's content. Every user may connect then, and the policy decides. */
  policy?: unknown
  /** More options of `serve`. */
  args?: string[]
  /** Runs the daemon by another command, such as unshare. */
  through?: string[]
  /** Options of the Node that runs the daemon. */
  nodeOptions?: string[]
  /**
   * Runs the daemon under the emulator of vserver(2), with these options of its own, but where the kernel has the call. Its
   * contexts end with it, or at the latest when it is cleaned up.
   */
  emulator?: string[]
  /** kernel.vshelper is TestDaemon.vshelper, a program that the test may put there. */
  vshelper?: boolean
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
  readonly #options: StartOptions
  readonly #emulator: string[] | undefined
  /** Contexts that were there before it. */
  readonly #others: number[]
  /** Where kernel.vshelper points, with the option. */
  readonly vshelper: string
  /** kernel.vshelper as it was. */
  readonly #helperBefore: string | undefined
  #child: ChildProcess | undefined
  #pid = 0
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MOST_CONNECTIONS })

  private constructor(
    readonly driver: string,
    options: StartOptions
  ) {
    const { socket, auditLog, emulator, policy } = options
    this.#options = options
    const isOwnKernel = driver === 'vserver' && hasVserver()
    this.vshelper = join(this.directory, 'vshelper')
    if (options.vshelper && isOwnKernel) {
      this.#helperBefore = readFileSync(HELPER_SYSCTL, 'utf8').trim()
      writeFileSync(HELPER_SYSCTL, this.vshelper)
      // An emulator may have one for the whole run, which its --vshelper names.
      this.vshelper = readFileSync(HELPER_SYSCTL, 'utf8').trim()
      rmSync(this.vshelper, { force: true })
    }
    const helper = options.vshelper && !isOwnKernel ? ['--vshelper', this.vshelper] : []
    this.#emulator = isOwnKernel || emulator === undefined ? undefined : [...emulator, ...helper]
    this.#others = isOwnKernel ? contextsInKernel() : []
    this.socket = socket ?? join(this.directory, 'run', 'contextd.sock')
    this.auditLog = auditLog ?? join(this.directory, 'audit.log')
    if (policy !== undefined) {
      chmodSync(this.directory, 0o755)
      this.writePolicy(policy)
    }
  }

  get policyFile(): string {
    return join(this.directory, 'policy.json')
  }

  writePolicy(policy: unknown): void {
    writeFileSync(this.policyFile, typeof policy === 'string' ? policy : JSON.stringify(policy), { mode: 0o644 })
  }

  /** Sends SIGHUP and waits until the daemon says that it has reloaded. */
  async reload(): Promise<void> {
    const reloaded = () => this.stderr.split('"msg":"reloaded"').length
    const before = reloaded()
    process.kill(this.#pid, 'SIGHUP')
    await until('it has reloaded', () => reloaded() > before)
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

  /** Of the daemon itself, also when it runs under the emulator. */
  get pid(): number {
    return this.#pid
  }

  /** Of guests' output. */
  get logDir(): string {
    return join(this.directory, 'log')
  }

  get stateDir(): string {
    return join(this.directory, 'state')
  }

  /** Puts a program there: by default the one of the README. */
  writeHelper(script = `exec ${process.execPath} ${mainPath} vshelper --state-dir ${this.stateDir} "$@"`): void {
    writeFileSync(this.vshelper, `#!/bin/sh\n${script}\n`)
    chmodSync(this.vshelper, 0o755)
  }

  /** Starts the daemon, again after stop(). */
  async boot({ main = mainPath } = {}): Promise<void> {
    const roots =
      ['namespaces', 'auto'].includes(this.driver) && this.cgroupRoot ? ['--cgroup-root', this.cgroupRoot] : []
    const state = ['vserver', 'auto'].includes(this.driver) ? ['--state-dir', this.stateDir] : []
    const { policy, args: more = [], through = [], nodeOptions = [] } = this.#options
    const socket = policy === undefined ? this.socket : `${this.socket},mode=0666,policy=${this.policyFile}`
    const files = [
      '--socket',
      socket,
      '--audit-log',
      this.auditLog,
      '--log-dir',
      this.logDir,
      ...roots,
      ...state,
      ...more
    ]
    const command = [...through, process.execPath, ...nodeOptions, main, 'serve', '--driver', this.driver, ...files]
    const [program = '', ...args] = this.#emulator ? [emulatorPath, ...this.#emulator, '--', ...command] : command
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    this.#pid = child.pid ?? 0
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    for (const deadline = Date.now() + BOOT_TIMEOUT_MS; ;) {
      if (child.exitCode !== null) throw new Error(`the daemon did not start:\n${this.stderr}`)
      if (existsSync(this.socket) && (await this.#answers())) {
        if (this.#emulator)
          this.#pid = childrenOf(this.#pid).find((pid) => statusField(pid, 'Name') !== 'emulator') ?? 0
        return
      }
      if (Date.now() > deadline) throw new Error(`the daemon does not answer:\n${this.stderr}`)
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
    process.kill(this.#pid, signal) // the emulator ends with it
    await exited
    return child.exitCode
  }

  /** Ends everything and removes every trace. */
  async cleanUp(): Promise<void> {
    await this.stop()
    this.#agent.destroy()
    if (this.driver === 'vserver' && hasVserver()) await this.#endContexts()
    if (this.#helperBefore !== undefined) {
      writeFileSync(HELPER_SYSCTL, this.#helperBefore)
      rmSync(this.vshelper, { force: true })
    }
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
    const holders = () => allPids().filter((pid) => Number(pid) !== process.pid && holds(pid, this.directory))
    // Launchers too, which hold the directory of logs, wherever they are by now.
    await until('no process holds a file of the daemon', () => holders().length === 0).catch(() => {
      throw new Error(`left over: ${holders().join(' ')}`)
    })
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** Of a kernel of its own nobody else ends them. */
  async #endContexts(): Promise<void> {
    const left = () => contextsInKernel().filter((xid) => !this.#others.includes(xid))
    await until('its contexts are gone', () => {
      for (const xid of left()) endContext(xid)
      return left().length === 0
    })
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
    const target = { socketPath: this.socket, agent: this.#agent, method, path, headers, timeout: ANSWER_TIMEOUT_MS }
    const request = httpRequest(target, (response) => {
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
    request.on('timeout', () => {
      request.destroy(new Error(`${method} ${path}: nothing came for ${ANSWER_TIMEOUT_MS / 1000} s`))
    })
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

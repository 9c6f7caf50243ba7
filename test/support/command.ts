/** Commands run to their end: the built contextd, curl, and whatever else a test calls. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mainPath } from './daemon.js'

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Milliseconds; it is killed then. */
  timeout?: number
}

export function run(file: string, args: string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout: 300_000, ...options, maxBuffer: 64 << 20 },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode, stdout, stderr })
      }
    )
  })
}

/**
 * Guests' logs of a daemon's own, where a test does not say: the default directory is one for all daemons of the machine,
 * and of two that start at a time one is refused.
 */
function withOwnLogs(options: RunOptions = {}): RunOptions {
  return { ...options, env: { CONTEXTD_LOG_DIR: join(logs(), String(++daemons)), ...(options.env ?? process.env) } }
}

let daemons = 0
let made: string | undefined

/** Gone with this process. */
function logs(): string {
  if (made !== undefined) return made
  const directory = (made = mkdtempSync(join(tmpdir(), 'contextd-test-logs-')))
  process.once('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  return directory
}

/** `contextd ARGS`; for those that end by themselves. */
export const contextd = (args: string[], options?: RunOptions) =>
  run(process.execPath, [mainPath, ...args], withOwnLogs(options))

/** `contextd serve ARGS`, left running; whoever calls ends it. */
export function serving(args: string[], options: RunOptions = {}): ChildProcess & { output: () => string } {
  const child = spawn(process.execPath, [mainPath, 'serve', ...args], {
    ...withOwnLogs(options),
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  return Object.assign(child, { output: () => text })
}

/** Ends a process that a test left running, and waits until it is gone with all that it does at its end. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

export interface CurlReply {
  status: number
  body: unknown
}

export interface CurlRequest {
  method: string
  path: string
  body?: unknown
  headers?: string[]
}

/** Between the answers of one curl. */
const BOUNDARY = '--- end of answer ---'

/** Requests by one real curl, one after the other over one connection. `through` runs it by another command, such as setpriv. */
export async function curlAll(socket: string, requests: CurlRequest[], through: string[] = []): Promise<CurlReply[]> {
  const args = requests.flatMap(({ method, path, body, headers = [] }, index) => [
    ...(index > 0 ? ['--next'] : []),
    ...['-s', '-S', '--unix-socket', socket, '-X', method, '-w', `\n%{http_code}\n${BOUNDARY}\n`],
    ...headers.flatMap((header) => ['-H', header]),
    ...(body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]),
    `http://localhost${path}`
  ])
  const [file = 'curl', ...more] = [...through, 'curl', ...args]
  const { stdout, stderr } = await run(file, more)
  const answers = stdout.split(`\n${BOUNDARY}\n`).slice(0, -1)
  if (answers.length !== requests.length) throw new Error(`curl: ${stderr}`)
  return answers.map((answer) => {
    const end = answer.lastIndexOf('\n')
    const text = answer.slice(0, end)
    return { status: Number(answer.slice(end + 1)), body: text === '' ? undefined : (JSON.parse(text) as unknown) }
  })
}

/** A request by the real curl, as a user types it. */
export async function curl(
  socket: string,
  method: string,
  path: string,
  body?: unknown,
  through: string[] = []
): Promise<CurlReply> {
  const [reply] = await curlAll(socket, [{ method, path, body }], through)
  if (!reply) throw new Error('curl: no answer')
  return reply
}

/** Runs what follows as this user, with just these groups. Without what the runner of tests loads into Node: it writes files as root. */
export function asUser(uid: number, gid = uid, groups: number[] = []): string[] {
  const more = groups.length > 0 ? ['--groups', groups.join(',')] : ['--clear-groups']
  return ['env', '-u', 'NODE_OPTIONS', 'setpriv', '--reuid', String(uid), '--regid', String(gid), ...more]
}

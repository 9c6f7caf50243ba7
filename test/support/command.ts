/** Commands run to their end: the built contextd, curl, and whatever else a test calls. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mainPath } from './daemon.js'

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
}

export function run(file: string, args: string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { ...options, maxBuffer: 64 << 20, timeout: 60_000 },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode, stdout, stderr })
      }
    )
  })
}

/** `contextd ARGS`; for those that end by themselves. */
export const contextd = (args: string[], options?: RunOptions) => run(process.execPath, [mainPath, ...args], options)

/** `contextd serve ARGS`, left running; whoever calls ends it. */
export function serving(args: string[], options: RunOptions = {}): ChildProcess & { output: () => string } {
  const child = spawn(process.execPath, [mainPath, 'serve', ...args], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  return Object.assign(child, { output: () => text })
}

export interface CurlReply {
  status: number
  body: unknown
}

/** A request by the real curl, as a user types it. `through` runs curl by another command, such as setpriv. */
export async function curl(
  socket: string,
  method: string,
  path: string,
  body?: unknown,
  through: string[] = []
): Promise<CurlReply> {
  const data = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]
  const args = [
    '-s',
    '-S',
    '--unix-socket',
    socket,
    '-X',
    method,
    '-w',
    '\n%{http_code}',
    ...data,
    `http://localhost${path}`
  ]
  const [file = 'curl', ...more] = [...through, 'curl', ...args]
  const { stdout, stderr } = await run(file, more)
  const end = stdout.lastIndexOf('\n')
  if (end < 0) throw new Error(`curl: ${stderr}`)
  const text = stdout.slice(0, end)
  return { status: Number(stdout.slice(end + 1)), body: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

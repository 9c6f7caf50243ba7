/** Contexts of a test, removed when it is over, and what runs in them. */
import { readFileSync } from 'node:fs'
import type { Process } from '../../daemon/drivers/driver.js'
import type { Test } from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { until } from './poll.js'
import { descriptorsOf } from './proc.js'
import type { Reply, TestDaemon } from './daemon.js'

export interface Captured {
  pid: number
  exit_code: number | null
  term_signal: string | null
  stdout: string
  stderr: string
  oom_killed: boolean | null
  truncated: boolean
  timed_out: boolean
}

export type Listed = Process

/** For tests of the timeout of a process: by then it has started and written what it writes first, be the machine loaded. */
export const shortLife = { timeout: 2 }

export class Guest {
  constructor(
    readonly daemon: TestDaemon,
    readonly xid: number
  ) {}

  get path(): string {
    return `/contexts/${this.xid}`
  }

  async context(): Promise<Context> {
    return expect<Context>(200, await this.daemon.get(this.path))
  }

  /** Runs a command to its end. */
  async capture(argv: string[], more: object = {}): Promise<Captured> {
    const request = { argv, capture: true, ...more }
    return expect<Captured>(200, await this.daemon.post(`${this.path}/processes`, request))
  }

  /** Runs a command by the shell to its end. */
  readonly shell = (script: string, more: object = {}) => this.capture(['/bin/sh', '-c', script], more)

  /**
   * A file of a process of this context, as /proc has it: where the host does not see it (Linux-VServer), by the guest's
   * own, in which it has the same pid.
   */
  async procFile(pid: number, name: string): Promise<string> {
    if (this.daemon.driver !== 'vserver') return readFileSync(`/proc/${pid}/${name}`, 'utf8')
    const { exit_code, stdout, stderr } = await this.capture(['/bin/cat', `/proc/${pid}/${name}`])
    if (exit_code !== 0) throw new Error(stderr)
    return stdout
  }

  /** Numbers of the descriptors that a process of this context has. */
  async descriptors(pid: number): Promise<string[]> {
    if (this.daemon.driver !== 'vserver') return descriptorsOf(pid)
    return (await this.shell(`ls /proc/${pid}/fd`)).stdout.split('\n').filter(Boolean)
  }

  /** Starts a command and leaves it; returns its pid. */
  async start(argv: string[], more: object = {}): Promise<number> {
    return expect<{ pid: number }>(201, await this.daemon.post(`${this.path}/processes`, { argv, ...more })).pid
  }

  async processes(): Promise<Listed[]> {
    return expect<{ processes: Listed[] }>(200, await this.daemon.get(`${this.path}/processes`)).processes
  }

  /** This process of the context runs. */
  async has(pid: number): Promise<boolean> {
    return (await this.processes()).some((process) => process.pid === pid)
  }

  kill = (signal: string | number, pid = 0) => this.daemon.post(`${this.path}/kill`, { pid, signal })

  /** Waits until no process is left. */
  async isEmpty(): Promise<void> {
    await until(`context ${this.xid} is empty`, async () => (await this.context()).state === 'empty')
  }

  /** Waits until so many wait for the end of the context. */
  async hasWaiters(count: number): Promise<void> {
    await until(`${count} waiters`, async () => {
      const stat = expect<{ usecnt: number }>(200, await this.daemon.get(`${this.path}/stat`))
      return stat.usecnt === count + 1
    })
  }
}

/** The body of a reply that has this status; any other one fails the test with what the daemon said. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- a cast, written once
export function expect<T>(status: number, reply: Reply): T {
  if (reply.status !== status) throw new Error(`${reply.status} instead of ${status}: ${reply.text}`)
  return reply.body as T
}

/** Makes a context for one test; without an xid in `body` a free one is taken. */
export async function guestOf(t: Test, daemon: TestDaemon, body: object = {}): Promise<Guest> {
  const { xid } = expect<Context>(201, await daemon.post('/contexts', body))
  t.teardown(async () => {
    await daemon.delete(`/contexts/${xid}?grace=0`)
  })
  return new Guest(daemon, xid)
}

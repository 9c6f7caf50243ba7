/** Contexts of a test, removed when it is over, and what runs in them. */
import type { Process } from '../../daemon/drivers/driver.js'
import type { Test } from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { until } from './poll.js'
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

  /** Starts a command and leaves it; returns its pid. */
  async start(argv: string[], more: object = {}): Promise<number> {
    return expect<{ pid: number }>(201, await this.daemon.post(`${this.path}/processes`, { argv, ...more })).pid
  }

  async processes(): Promise<Listed[]> {
    return expect<{ processes: Listed[] }>(200, await this.daemon.get(`${this.path}/processes`)).processes
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

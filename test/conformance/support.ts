/** What the cases of the conformance suite share: a daemon, what its driver says of itself, and contexts to try it on. */
import type { Test } from 'tap'
import type { Context, ExitReport, StatReply } from '../../daemon/schemas/context.js'
import type { VocabularyEntry } from '../../daemon/schemas/host.js'
import type { Treatment, VocabularyKind } from '../../daemon/vocabulary/treatment.js'
import type { Reply, RequestOptions, TestDaemon } from '../support/daemon.js'
import { type Captured, Guest, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'

export type Vocabulary = Record<VocabularyKind, VocabularyEntry[]> & { signals: Record<string, number> }
export type WordKind = 'flags' | 'bcaps' | 'ccaps'
export const wordKinds: readonly WordKind[] = ['flags', 'bcaps', 'ccaps']

/** A word as it is answered; `mask` of flags only, `changed` of writes only. */
export interface Word {
  value: string
  names: string[]
  unknown: string
  mask: string
  changed: boolean
}

/** Adds one test; its name is a sentence of behaviour. */
export type Register = (name: string, body: (t: Test) => Promise<unknown>) => void
/** A file of cases: registers its tests. */
export type Cases = (test: Register, api: Api) => void

/** A command that goes on until it is killed. */
export const sleeper = ['sleep', '1000']
export const init = (...argv: string[]) => ({ init: { argv } })

/** The one-time bits belong to the daemon. */
export const isStateName = (name: string) => name.startsWith('STATE_')
export const hex = (word: bigint) => `0x${word.toString(16).padStart(16, '0')}`

/** Where the first context with a chosen xid is tried. */
const FIRST_XID = 20_000

export class Api {
  #lastXid = FIRST_XID - 1

  private constructor(
    readonly daemon: TestDaemon,
    readonly vocabulary: Vocabulary
  ) {}

  static async of(daemon: TestDaemon): Promise<Api> {
    return new Api(daemon, bodyOf<Vocabulary>(await daemon.get('/vocabulary')))
  }

  treatment(kind: VocabularyKind, name: string): Treatment {
    const entry = this.vocabulary[kind].find((candidate) => candidate.name === name)
    if (!entry) throw new Error(`/vocabulary has no ${kind} ${name}`)
    return entry.treatment
  }

  isEnforced = (kind: VocabularyKind, name: string) => this.treatment(kind, name) === 'enforced'
  isSupported = (kind: VocabularyKind, name: string) => this.treatment(kind, name) !== 'unsupported'
  /** It acts on what is started after it was set. */
  actsOnNew = (kind: VocabularyKind, name: string) => ['enforced', 'new_processes'].includes(this.treatment(kind, name))

  bit(kind: VocabularyKind, name: string): bigint {
    const entry = this.vocabulary[kind].find((candidate) => candidate.name === name)
    return BigInt(entry?.value ?? 0)
  }

  /** An xid that no context has, nor had since the suite began. */
  async freeXid(): Promise<number> {
    for (;;) {
      const xid = ++this.#lastXid
      if ((await this.daemon.get(`/contexts/${xid}`)).status === 404) return xid
    }
  }

  /** A context for one test, gone when it is over. */
  guest = (t: Test, body: object = {}): Promise<Guest> => guestOf(t, this.daemon, body)

  /** A context with an init that goes on until it is killed. */
  running = (t: Test, body: object = {}) => this.guest(t, { ...init(...sleeper), ...body })

  /** Asks for a context, which is removed when the test is over, if one was made. */
  create(
    t: Test,
    body: { xid: number; [field: string]: unknown },
    query = '',
    options?: RequestOptions
  ): Promise<Reply> {
    t.teardown(() => this.daemon.delete(`/contexts/${body.xid}?grace=0`))
    return this.daemon.post(`/contexts${query}`, body, options)
  }

  /** Captures a sleeper; when this returns it runs, and its report is still to come. */
  async sleeping(guest: Guest): Promise<{ report: Promise<Captured> }> {
    const report = guest.capture(sleeper)
    // Before its exec the process may be listed as something else.
    const runs = until('it runs', async () => (await guest.processes()).some(({ comm }) => comm === 'sleep'))
    await Promise.race([runs, report])
    return { report }
  }

  async exists(xid: number): Promise<boolean> {
    return (await this.daemon.get(`/contexts/${xid}`)).status === 200
  }

  async ended(xid: number): Promise<void> {
    await until(`context ${xid} has ended`, async () => !(await this.exists(xid)))
  }

  async word(guest: Guest, kind: WordKind): Promise<Word> {
    return bodyOf(await this.daemon.get(`${guest.path}/${kind}`))
  }

  async stat(guest: Guest): Promise<StatReply> {
    return bodyOf(await this.daemon.get(`${guest.path}/stat`))
  }

  async etag(guest: Guest): Promise<string> {
    return String((await this.daemon.get(guest.path)).headers.etag)
  }

  async initpid(guest: Guest): Promise<number> {
    return bodyOf<{ initpid: number }>(await this.daemon.get(`${guest.path}/info`)).initpid
  }

  /** Returns when the daemon has read what was sent to it before. */
  async settled(): Promise<void> {
    for (let round = 0; round < 5; round++) await this.daemon.get('/health')
  }

  /** Begins so many waits, and returns when they are under way. */
  async waiters(guest: Guest, count: number): Promise<Promise<Reply>[]> {
    const waiting = Array.from({ length: count }, () => this.daemon.post(`${guest.path}/wait`))
    await this.settled()
    return waiting
  }
}

/** The body of a good answer; what went wrong otherwise. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- who made the call knows what it answers
export function bodyOf<T>({ status, body, text }: Reply): T {
  if (status >= 300) throw new Error(`${status}: ${text}`)
  return body as T
}

export const contextOf = (reply: Reply): Context => bodyOf(reply)

export interface Expected {
  type?: string
  errno?: string
  /** What the detail has to mention. */
  detail?: RegExp
}

/** The reply is problem details with this status; with an errno, that of a named call. */
export function isProblem(
  t: Test,
  reply: Reply,
  status: number,
  { type, errno, detail }: Expected = {},
  what = ''
): void {
  const name = what || `${status} ${errno ?? type ?? ''}`
  const problem = {
    type: type ?? errno?.toLowerCase() ?? /^[a-z-]+$/,
    title: /./,
    status,
    detail: detail ?? /./,
    ...(errno !== undefined && { errno, call: /^\w+$/ })
  }
  t.match({ status: reply.status, body: reply.body as unknown }, { status, body: problem }, name)
  t.match(reply.headers['content-type'], /^application\/problem\+json/, `${name}: problem details`)
}

/** How a context ends by exit. Whether memory was short then is not for every driver to know. */
export const exitReport = (xid: number, code: number): Omit<ExitReport, 'oom_killed'> => ({
  xid,
  reboot_cmd: null,
  exit_code: code,
  term_signal: null,
  raw_status: code << 8
})

/** How a context ends by SIGKILL. */
export const killReport = (xid: number): Omit<ExitReport, 'oom_killed'> => ({
  xid,
  reboot_cmd: null,
  exit_code: null,
  term_signal: 'SIGKILL',
  raw_status: 9
})

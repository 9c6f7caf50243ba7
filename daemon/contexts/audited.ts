import { CallError } from '../drivers/errors.js'
import type { Driver, MigrateData } from '../drivers/driver.js'
import { formatWord, type WordView } from '../vocabulary/word.js'
import type { Announcements } from '../events/events.js'

/** One call of the driver interface, as the audit log shows it. */
export interface NativeCall {
  call: string
  /** Of JSON. */
  args: unknown[]
  errno: string | null
  /** The native call under it that failed, where it is another. */
  native?: string
  /** It was still under way when this was shown, and nothing is known of its errno. */
  unfinished?: true | undefined
}

/** A word or name that a write has changed. */
export interface Change {
  /** flags, bcaps, ccaps, uname.FIELD or limits.NAME. */
  what: string
  /** Null of a context that was not there, and of a limit that is not set. */
  before: WordView | string | number | null
  after: WordView | string | number | null
}

const writes = [
  'vx_create',
  'vx_migrate',
  'vx_bcaps_set',
  'vx_ccaps_set',
  'vx_flags_set',
  'vx_uname_set',
  'limits_set',
  'vx_kill'
] as const
export type Writes = Pick<Driver, (typeof writes)[number]>

/** Whose process it is by default. */
const root = { uid: 0, gid: 0, groups: [] }

/**
 * An argument as JSON, words as the API shows them. What a process is given may be secret: values of its environment and
 * its input are not recorded.
 */
function shown(arg: unknown): unknown {
  if (typeof arg !== 'object' || arg === null) return arg
  if ('process' in arg) {
    const { flags, process, timeoutMs, capture } = arg as MigrateData
    const { argv, env, cwd, user = root, umask, rlimits } = process
    const limits = rlimits?.map(({ name, soft, hard }) => `${name} ${soft} ${hard}`)
    const command = { argv, env: Object.keys(env), cwd, ...user, umask: umask?.toString(8), rlimits: limits }
    return { flags: formatWord(flags), process: command, timeoutMs, capture: capture !== undefined }
  }
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(arg)) copy[key] = typeof value === 'bigint' ? formatWord(value) : value
  return copy
}

class AuditedWrites {
  constructor(
    private readonly driver: Driver,
    private readonly calls: NativeCall[],
    private readonly events: Announcements
  ) {}

  async call(name: (typeof writes)[number], args: unknown[]): Promise<unknown> {
    this.events.hold(args[0] as number)
    const noted: NativeCall = { call: name, args: args.map(shown), errno: null, unfinished: true }
    this.calls.push(noted)
    try {
      return await (this.driver[name] as (...args: unknown[]) => unknown).apply(this.driver, args)
    } catch (error) {
      noted.errno = error instanceof CallError ? error.code : 'EIO'
      if (error instanceof CallError && error.call !== name) noted.native = error.call
      throw error
    } finally {
      noted.unfinished = undefined // deleting it would make each object a slow one
    }
  }
}
for (const name of writes)
  Object.defineProperty(AuditedWrites.prototype, name, {
    value(this: AuditedWrites, ...args: unknown[]) {
      return this.call(name, args)
    }
  })

/**
 * The driver's writing calls, each of them noted in `calls` with its arguments and errno. What happens to the context
 * from then on is announced after the write.
 */
export function audited(driver: Driver, calls: NativeCall[], events: Announcements): Writes {
  return new AuditedWrites(driver, calls, events) as unknown as Writes
}

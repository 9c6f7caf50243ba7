import { CallError } from '../drivers/errors.js'
import type { Driver, MigrateData } from '../drivers/driver.js'

/** One call of the driver interface, as the audit log shows it. */
export interface NativeCall {
  call: string
  args: unknown[]
  errno: string | null
  /** The native call under it that failed, where it is another. */
  native?: string
}

const writes = [
  'vx_create',
  'vx_migrate',
  'vx_bcaps_set',
  'vx_ccaps_set',
  'vx_flags_set',
  'vx_uname_set',
  'vx_kill'
] as const
export type Writes = Pick<Driver, (typeof writes)[number]>

/** What a process is given may be secret: values of its environment and its input are not recorded. */
function withoutSecrets(arg: unknown): unknown {
  if (typeof arg !== 'object' || arg === null || !('process' in arg)) return arg
  const { flags, process, timeoutMs, capture } = arg as MigrateData
  return { flags, process: { ...process, env: Object.keys(process.env) }, timeoutMs, capture: capture !== undefined }
}

/** The driver's writing calls, each of them noted in `calls` with its arguments and errno. */
export function audited(driver: Driver, calls: NativeCall[]): Writes {
  const entries = writes.map((name) => [
    name,
    async (...args: unknown[]) => {
      const noted: NativeCall = { call: name, args: args.map(withoutSecrets), errno: null }
      calls.push(noted)
      try {
        return await (driver[name] as (...args: unknown[]) => unknown).apply(driver, args)
      } catch (error) {
        noted.errno = error instanceof CallError ? error.code : 'EIO'
        if (error instanceof CallError && error.call !== name) noted.native = error.call
        throw error
      }
    }
  ])
  return Object.fromEntries(entries) as Writes
}

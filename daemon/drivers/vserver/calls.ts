/** The calls that are one command of vserver(2) each, and what an errno of theirs means. */
import { noLimits, type Limits } from '../../vocabulary/limits.js'
import { unameFields, type UnameField } from '../../vocabulary/uname.js'
import type { FlagsData, Stat } from '../driver.js'
import { CallError, whileThere } from '../errors.js'
import { asCallError, vserver } from '../native.js'
import * as rules from '../rules.js'

/** What a call was answered last. */
const words = new BigUint64Array(10)
/** A load average of 1. */
const LOAD_ONE = 2048

const fieldIds = Object.fromEntries(unameFields.map(({ name, id }) => [name, id])) as Record<UnameField, number>

/** Of the driver: no call of these changes whether a context lives. */
export abstract class DirectCalls {
  vx_task_xid(pid: number): number {
    return ask(undefined, () => vserver.taskXid(pid), `there is no process ${pid}`)
  }

  vx_info(xid: number): { xid: number; initpid: number } {
    return { xid, initpid: ask(xid, () => vserver.vxInfo(xid)) }
  }

  vx_stat(xid: number): Stat {
    const { usecnt, tasks } = ask(xid, () => vserver.ctxStat(xid))
    ask(xid, () => {
      vserver.virtStat(xid, words)
    })
    const [offset = 0n, uptime = 0n, ...counts] = words
    const [nr_threads = 0, nr_running = 0, nr_unintr = 0, nr_onhold = 0, nr_forks = 0, ...loads] = counts.map(Number)
    const [one = 0, five = 0, fifteen = 0] = loads.map((load) => load / LOAD_ONE)
    const load: Stat['load'] = [one, five, fifteen]
    return { usecnt, tasks, nr_threads, nr_running, nr_unintr, nr_onhold, nr_forks, load, offset, uptime }
  }

  vx_bcaps_get(xid: number): bigint {
    return ask(xid, () => vserver.getBcaps(xid))
  }

  vx_bcaps_set(xid: number, data: FlagsData): void {
    ask(xid, () => {
      vserver.setBcaps(xid, data.flags, data.mask)
    })
  }

  vx_ccaps_get(xid: number): bigint {
    return ask(xid, () => vserver.getCcaps(xid))
  }

  vx_ccaps_set(xid: number, data: FlagsData): void {
    ask(xid, () => {
      vserver.setCcaps(xid, data.flags, data.mask)
    })
  }

  vx_flags_get(xid: number): FlagsData {
    ask(xid, () => {
      vserver.getCflags(xid, words)
    })
    const [flags = 0n, mask = 0n] = words
    return { flags, mask }
  }

  vx_uname_get(xid: number, field: UnameField): string {
    rules.checkField(field, 'vx_uname_get')
    return ask(xid, () => vserver.getVhiName(xid, fieldIds[field]))
  }

  vx_uname_set(xid: number, field: UnameField, value: string): void {
    rules.checkField(field, 'vx_uname_set')
    ask(xid, () => {
      vserver.setVhiName(xid, fieldIds[field], value)
    })
  }

  limits_get(): Limits {
    return noLimits
  }

  limits_set(xid: number): never {
    throw new CallError(
      'ENOSYS',
      'limits_set',
      `the context API of a Linux-VServer kernel has no limits for context ${xid}`
    )
  }

  exists(xid: number): boolean {
    return exists(xid)
  }
}

export const exists = (xid: number) => whileThere(() => ask(xid, () => vserver.vxInfo(xid))) !== undefined

/** The context's flags. */
export function flagsOf(xid: number): bigint {
  ask(xid, () => {
    vserver.getCflags(xid, words)
  })
  return words[0] ?? 0n
}

/** When the context was made, by CLOCK_MONOTONIC in nanoseconds. ESRCH. */
export const bornOf = (xid: number) => bornAt(ask(xid, () => vserver.uptime(xid)))
/** The same of a context of this age. */
export const bornAt = (uptime: bigint) => process.hrtime.bigint() - uptime

const reasons: Record<string, (xid: number) => string> = {
  ESRCH: (xid) => `there is no context ${xid}`,
  EACCES: (xid) => `context ${xid} is private (INFO_PRIVATE), or no longer administrable (STATE_ADMIN is cleared)`,
  EFAULT: (xid) => `context ${xid} is shutting down`,
  EBUSY: (xid) => `context ${xid} is being set up by somebody else`,
  ENOEXEC: (xid) => `the helper program (kernel.vshelper) failed, or refused context ${xid}`,
  ENOSYS: () => 'contextd lacks CAP_CONTEXT'
}

const withoutSpaces = (xid: number) =>
  `context ${xid} cannot be entered: the tool that made it gave it no mount, UTS and IPC namespaces of its own`

/** What an errno of a vserver command means; the errno of anything else is left as it is. */
export function explained(error: unknown, xid: number, detail?: string): unknown {
  if (!(error instanceof CallError)) return error
  if (detail !== undefined && error.code === 'ESRCH') return new CallError(error.code, error.call, detail)
  if (error.call === 'enter_space' && error.code === 'EINVAL')
    return new CallError(error.code, error.call, withoutSpaces(xid))
  const reason = error.detail === '' ? reasons[error.code]?.(xid) : undefined
  // The kernel says EBUSY of a context in setup; for a caller it is one that exists.
  const code = error.call === 'ctx_create' && error.code === 'EBUSY' ? 'EEXIST' : error.code
  return new CallError(code, error.call, reason ?? (error.detail === '' ? `context ${xid}` : error.detail))
}

/** Makes a call about a context and explains its failure. */
export function ask<T>(xid: number | undefined, call: () => T, detail?: string): T {
  try {
    return call()
  } catch (error) {
    throw explained(asCallError(error as Error, []), xid ?? 0, detail)
  }
}

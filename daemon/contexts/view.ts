import type { Driver, FlagsData } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import type { Context, ContextState } from '../schemas/context.js'
import type { Uname } from '../schemas/uname.js'
import { STATE_SETUP } from '../vocabulary/flags.js'
import { limits, noLimits } from '../vocabulary/limits.js'
import type { LimitsReply } from '../schemas/limits.js'
import { unameFields, type UnameField } from '../vocabulary/uname.js'
import { formatWord, type WordView } from '../vocabulary/word.js'
import { exitReport } from './exit-reports.js'
import { isPaused, tableOf, type WordKind } from './words.js'

export function readWord(driver: Driver, xid: number, kind: WordKind): bigint {
  if (kind === 'flags') return driver.vx_flags_get(xid).flags
  return kind === 'bcaps' ? driver.vx_bcaps_get(xid) : driver.vx_ccaps_get(xid)
}

export function wordView(driver: Driver, xid: number, kind: WordKind): WordView {
  return tableOf(driver, kind).view(readWord(driver, xid, kind))
}

/** The kept view is frozen and shared; a reply of its own is made only where something is added. */
export function flagsView(driver: Driver, { flags, mask }: FlagsData): WordView & { mask: string } {
  const { value, names, unknown } = tableOf(driver, 'flags').view(flags)
  return { value, names, unknown, mask: formatWord(mask) }
}

export function unameField(driver: Driver, xid: number, field: UnameField): string | null {
  try {
    return driver.vx_uname_get(xid, field)
  } catch (error) {
    if (error instanceof CallError && error.code === 'EINVAL') return null
    throw error
  }
}

export function unameView(driver: Driver, xid: number): Uname {
  return Object.fromEntries(unameFields.map(({ name }) => [name, unameField(driver, xid, name)])) as Uname
}

const unlimited = Object.freeze<LimitsReply>({ ...noLimits, enforced: [] })

export function limitsView(driver: Driver, xid: number, flags = driver.vx_flags_get(xid).flags): LimitsReply {
  const values = driver.limits_get(xid)
  if (values === noLimits) return unlimited
  const enforced = limits
    .filter(({ name, bit }) => values[name] !== null && flags & bit && driver.treatment('limits', name) === 'enforced')
    .map(({ name }) => name)
  return { ...values, enforced }
}

function stateOf(driver: Driver, flags: bigint, populated: boolean): ContextState {
  if (flags & STATE_SETUP) return 'setup'
  if (!populated) return 'empty'
  return isPaused(driver, flags) ? 'paused' : 'running'
}

/** Its state alone. */
export function contextState(driver: Driver, xid: number, stopping: boolean): ContextState {
  const { flags } = driver.vx_flags_get(xid)
  return stopping ? 'stopping' : stateOf(driver, flags, driver.details(xid, flags).populated)
}

interface Circumstances {
  /** Flags that are about to be cleared. */
  without?: bigint
  /** A DELETE is under way. */
  stopping?: boolean
}

export function contextView(driver: Driver, xid: number, { without = 0n, stopping }: Circumstances = {}): Context {
  const { flags, mask } = driver.vx_flags_get(xid)
  const { root, owner, created_at, populated, last_exit } = driver.details(xid, flags)
  const uname = unameView(driver, xid)
  return {
    xid,
    name: uname.context === '' ? null : uname.context,
    state: stopping ? 'stopping' : stateOf(driver, flags, populated),
    initpid: driver.vx_info(xid).initpid,
    created_at,
    owner,
    root,
    last_exit: last_exit && exitReport(xid, last_exit),
    flags: flagsView(driver, { flags: flags & ~without, mask }) as Context['flags'],
    bcaps: wordView(driver, xid, 'bcaps') as Context['bcaps'],
    ccaps: wordView(driver, xid, 'ccaps') as Context['ccaps'],
    uname,
    limits: limitsView(driver, xid, flags)
  }
}

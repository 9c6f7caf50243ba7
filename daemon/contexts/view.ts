import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import type { Context } from '../schemas/context.js'
import type { Uname } from '../schemas/uname.js'
import { STATE_SETUP } from '../vocabulary/flags.js'
import { unameFields, type UnameField } from '../vocabulary/uname.js'
import { formatWord, type WordView } from '../vocabulary/word.js'
import { tableOf, type WordKind } from './words.js'

export function readWord(driver: Driver, xid: number, kind: WordKind): bigint {
  if (kind === 'flags') return driver.vx_flags_get(xid).flags
  return kind === 'bcaps' ? driver.vx_bcaps_get(xid) : driver.vx_ccaps_get(xid)
}

export function wordView(driver: Driver, xid: number, kind: WordKind): WordView {
  return tableOf(driver, kind).view(readWord(driver, xid, kind))
}

/** The kept view is frozen and shared; a reply of its own is made only where something is added. */
export function flagsView(driver: Driver, xid: number, without = 0n): WordView & { mask: string } {
  const { flags, mask } = driver.vx_flags_get(xid)
  const { value, names, unknown } = tableOf(driver, 'flags').view(flags & ~without)
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

/** @param without flags that are about to be cleared */
export function contextView(driver: Driver, xid: number, without = 0n): Context {
  const flags = flagsView(driver, xid, without)
  const { root, created_at, populated } = driver.details(xid)
  const uname = unameView(driver, xid)
  const inSetup = (driver.vx_flags_get(xid).flags & STATE_SETUP) !== 0n
  return {
    xid,
    name: uname.context === '' ? null : uname.context,
    state: inSetup ? 'setup' : populated ? 'running' : 'empty',
    initpid: driver.vx_info(xid).initpid,
    created_at,
    root,
    flags: flags as Context['flags'],
    bcaps: wordView(driver, xid, 'bcaps') as Context['bcaps'],
    ccaps: wordView(driver, xid, 'ccaps') as Context['ccaps'],
    uname
  }
}

/** How a write is asked for, what it has done, and the steps that several writes share. */
import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import type { Announcements } from '../events/events.js'
import type { Access } from '../policy/access.js'
import { Refusal } from '../refusal.js'
import type { Context, ExitReport } from '../schemas/context.js'
import { audited, type Change, type NativeCall, type Writes } from './audited.js'
import { canPause, isPaused, tableOf, type WordKind } from './words.js'

/** How a write is asked to be done, and what it has done so far. */
export interface Write {
  calls: NativeCall[]
  changes: Change[]
  /** What the caller may do: asked again after everything that was waited for, when the context may be another one. */
  access: Access
  events: Announcements
  dryRun?: boolean | undefined
  /** Keep unsupported names instead of refusing them. */
  record?: boolean | undefined
  irreversible?: boolean | undefined
  /** Of a PUT: there must be no context yet. */
  mustBeNew?: boolean | undefined
}

/** What is said to a write that must be new where something is. */
export const notNew = (xid: number) =>
  new Refusal(412, 'precondition', `context ${xid} exists, and If-None-Match asks that it does not`, xid)

export interface Applied {
  xid: number
  changed: string[]
  /** What the caller of a creation may not have meant. */
  warnings?: string[]
  /** Of a creation that is not watched: the context as it was then, for it may be gone already. */
  view?: Context
  /** Of a creation that is watched: how the context ends. */
  ended?: Promise<ExitReport>
}

export const isCode = (error: unknown, code: string) => error instanceof CallError && error.code === code

/** The driver's calls that change something, each noted for the audit log. */
export const writesOf = (driver: Driver, write: Write): Writes => audited(driver, write.calls, write.events)

/** @param before null of a context that is being made; its STATE_* bits are not the caller's */
export function noteWord(driver: Driver, write: Write, kind: WordKind, before: bigint | null, after: bigint): void {
  const table = tableOf(driver, kind)
  write.changes.push({ what: kind, before: before === null ? null : table.view(before), after: table.view(after) })
}

export function requireUnpaused(driver: Driver, xid: number): void {
  if (canPause(driver) && isPaused(driver, driver.vx_flags_get(xid).flags))
    throw new Refusal(
      409,
      'paused',
      `context ${xid} is paused, so nothing can be started in it; clear SCHED_PAUSE first`,
      xid
    )
}

/** Nobody left to kill is what was wanted. */
export async function killAll(writes: Writes, xid: number, signal: number): Promise<void> {
  try {
    await writes.vx_kill(xid, 0, signal)
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error
  }
}

/** A short-lived init may be over, and its context gone, before this is done. */
export async function clearFlag(writes: Writes, xid: number, flag: bigint): Promise<void> {
  try {
    await writes.vx_flags_set(xid, { flags: 0n, mask: flag })
  } catch (error) {
    if (!isCode(error, 'ESRCH')) throw error
  }
}

/** True when the promise settles within so many milliseconds. */
export async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false)
    }, ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

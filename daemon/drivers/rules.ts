/**
 * The kernel's own rules about contexts, for the drivers whose kernel does not know them (memory, namespaces).
 * Source: kernel/vserver/context.c of the Linux-VServer 2.3 patch, as observed on 4.9.
 */
import { INFO_PRIVATE, SCHED_PAUSE, STATE_ADMIN, STATE_BITS, STATE_SETUP } from '../vocabulary/flags.js'
import { SIGINT } from '../vocabulary/signals.js'
import { unameFields, type UnameField } from '../vocabulary/uname.js'
import { WORD_MAX } from '../vocabulary/word.js'
import type { FlagsData } from './driver.js'
import { CallError } from './errors.js'

/** xid 0 is the host, 1 the spectator context. */
export const XID_MIN = 2
export const XID_MAX = 65535

export function checkXid(xid: number, call: string): void {
  if (!Number.isInteger(xid) || xid < XID_MIN || xid > XID_MAX)
    throw new CallError('EINVAL', call, `xid ${xid} is not in ${XID_MIN}..${XID_MAX}`)
}

export function noSuchContext(xid: number, call: string): CallError {
  return new CallError('ESRCH', call, `there is no context ${xid}`)
}

/** `data.mask` selects the bits of `data.flags` that replace those of `word`. */
export function replaceBits(word: bigint, data: FlagsData): bigint {
  return ((word & ~data.mask) | (data.flags & data.mask)) & WORD_MAX
}

/** STATE_* bits can be cleared and never set again: setting one succeeds and changes nothing. */
export function changeFlags(word: bigint, data: FlagsData): bigint {
  return replaceBits(word, data) & (~STATE_BITS | word)
}

/** The bits that may still be changed. */
export function changeableFlags(word: bigint): bigint {
  return WORD_MAX & (~STATE_BITS | word)
}

export const isAdministrable = (flags: bigint): boolean => (flags & STATE_ADMIN) !== 0n

/** Once STATE_ADMIN is cleared nobody administers the context any more, the host included. */
export function requireAdmin(flags: bigint, xid: number, call: string): void {
  if (!(flags & STATE_ADMIN))
    throw new CallError('EACCES', call, `context ${xid} is no longer administrable: STATE_ADMIN is cleared`)
}

/** INFO_PRIVATE closes a context as soon as it is set up. */
export function requireEnter(flags: bigint, xid: number, call: string): void {
  requireAdmin(flags, xid, call)
  if (flags & INFO_PRIVATE && !(flags & STATE_SETUP))
    throw new CallError('EACCES', call, `context ${xid} is private (INFO_PRIVATE) and cannot be entered`)
}

/** A process that is to start in a stopped context would be waited for in vain. */
export function requireUnpaused(flags: bigint, xid: number, call: string): void {
  if (flags & SCHED_PAUSE) throw new CallError('EBUSY', call, `context ${xid} is paused (SCHED_PAUSE)`)
}

export function checkSignal(signal: number, call: string): void {
  if (!Number.isInteger(signal) || signal < 0 || signal > 64) throw new CallError('EINVAL', call, `no signal ${signal}`)
}

export function checkField(field: string, call: string): asserts field is UnameField {
  if (!unameFields.some(({ name }) => name === field)) throw new CallError('EINVAL', call, `no uname field ${field}`)
}

/** To a context without STATE_ADMIN only its init can be signalled, with SIGINT if it is not alone (observed). */
export function signalToInit(flags: bigint, processes: number, signal: number): number {
  return flags & STATE_ADMIN || processes <= 1 ? signal : SIGINT
}

/** Words as the API takes them, and the checks that come before they reach a driver. */
import type { Driver, FlagsData } from '../drivers/driver.js'
import type { WordInput, WordPatch, WordReplace } from '../schemas/word.js'
import { bcapsFor } from '../vocabulary/bcaps.js'
import { ccaps } from '../vocabulary/ccaps.js'
import { flags, PERSISTENT, SCHED_PAUSE, STATE_ADMIN, STATE_BITS } from '../vocabulary/flags.js'
import type { VocabularyKind } from '../vocabulary/treatment.js'
import { formatWord, parseWord, WORD_MAX, type WordTable } from '../vocabulary/word.js'
import { invalid, Refusal } from '../refusal.js'

export const wordKinds = ['flags', 'bcaps', 'ccaps'] as const
export type WordKind = (typeof wordKinds)[number]

export function tableOf(driver: Driver, kind: WordKind): WordTable {
  return kind === 'flags' ? flags : kind === 'ccaps' ? ccaps : bcapsFor(driver.bcapsAbi)
}

/** The bits a PUT replaces: STATE_* are the daemon's to set, and are cleared one by one with PATCH only. */
export function replaceableBits(kind: WordKind): bigint {
  return kind === 'flags' ? WORD_MAX & ~STATE_BITS : WORD_MAX
}

export function wordFromInput(table: WordTable, input: WordInput): bigint {
  return typeof input === 'string' ? parseWord(input) : table.parse(input)
}

const bothForms = invalid('body', 'gives names and numbers; give one of them')

export function replacement(table: WordTable, kind: WordKind, body: WordReplace): FlagsData {
  if (body.value !== undefined && body.names !== undefined) throw bothForms
  return { flags: wordFromInput(table, body.value ?? body.names ?? []), mask: replaceableBits(kind) }
}

export function patch(table: WordTable, body: WordPatch): FlagsData {
  if (body.value !== undefined && body.mask !== undefined) {
    if (body.set || body.clear) throw bothForms
    return { flags: parseWord(body.value), mask: parseWord(body.mask) }
  }
  const set = table.parse(body.set ?? [])
  const clear = table.parse(body.clear ?? [])
  if (set & clear) throw invalid('body', `both sets and clears ${table.names(set & clear).join(', ')}`)
  return { flags: set, mask: set | clear }
}

/** 422 for bits that the driver would keep without acting on them, unless the caller asks for just that. */
export function checkSupported(driver: Driver, kind: WordKind, asked: bigint, record: boolean): void {
  if (record || asked === 0n) return
  const table = tableOf(driver, kind)
  const refused = table.names(asked).filter((name) => driver.treatment(kind, name) === 'unsupported')
  const unknown = asked & ~table.known
  if (unknown && driver.treatment(kind, '*') !== 'recorded') refused.push(`bits ${formatWord(unknown)}`)
  if (refused.length > 0) throw unsupported(driver, kind, refused)
}

/** Names what the host lacks, where that is the reason. */
export function unsupported(driver: Driver, kind: VocabularyKind, names: string[]): Refusal {
  const because = (name: string) => {
    const reason = driver.missing?.(kind, name)
    return reason === undefined ? name : `${name} (${reason})`
  }
  return new Refusal(
    422,
    'unsupported',
    `${kind}: the ${driver.name} driver does not enforce ${names.map(because).join(', ')}; ?unsupported=record keeps them without effect`
  )
}

/** 422 for bits that act at creation only, and would be changed later without effect. */
export function checkChangeable(driver: Driver, kind: WordKind, changed: bigint, record: boolean): void {
  if (record || changed === 0n) return
  const refused = tableOf(driver, kind)
    .names(changed)
    .filter((name) => driver.treatment(kind, name) === 'at_create')
  if (refused.length === 0) return
  throw new Refusal(
    422,
    'unsupported',
    `${kind}: ${refused.join(', ')} acts at creation only; ?unsupported=record changes the word without effect`
  )
}

/** Linux-VServer 2.3 keeps the flag and stops nobody. */
export const canPause = (driver: Driver) => driver.treatment('flags', 'SCHED_PAUSE') === 'enforced'

/** Its processes are stopped. */
export const isPaused = (driver: Driver, flags: bigint) => (flags & SCHED_PAUSE) !== 0n && canPause(driver)

/** PERSISTENT cannot be cleared any more, so a kernel keeps the context until the host restarts (Linux-VServer). */
const forEver = 'PERSISTENT without STATE_ADMIN: the context cannot be removed until the host restarts'

export function checkIrreversible(before: bigint, after: bigint, allowed: boolean): void {
  if (allowed || !(before & ~after & STATE_ADMIN)) return
  throw new Refusal(
    409,
    'irreversible',
    'clearing STATE_ADMIN cannot be undone, and nothing can administer the context afterwards; ?irreversible=true does it' +
      (after & PERSISTENT ? `; ${forEver}` : '')
  )
}

/** What is allowed and hardly ever meant. */
export function flagWarnings(before: bigint, after: bigint): string[] {
  return before & ~after & STATE_ADMIN && after & PERSISTENT ? [forEver] : []
}

/** Changes of a context that is there: words, names, limits. Each makes the calls that are needed, and none twice. */
import type { Driver, FlagsData } from '../drivers/driver.js'
import { Refusal, invalid } from '../refusal.js'
import type { ContextBody } from '../schemas/context.js'
import type { LimitsInput } from '../schemas/limits.js'
import type { UnameInput } from '../schemas/uname.js'
import { SCHED_PAUSE, STATE_BITS } from '../vocabulary/flags.js'
import { limitNames, type LimitName } from '../vocabulary/limits.js'
import { checkUnameValue, unameFields, type UnameField } from '../vocabulary/uname.js'
import { WORD_MAX } from '../vocabulary/word.js'
import type { Locks } from './locks.js'
import { readWord, unameField } from './view.js'
import {
  canPause,
  checkChangeable,
  checkIrreversible,
  checkSupported,
  flagWarnings,
  tableOf,
  unsupported,
  type WordKind
} from './words.js'
import { noteWord, writesOf, type Write } from './write.js'

export interface ChangedWordValue {
  changed: boolean
  word: bigint
  /** The bits that may still be changed. */
  mask: bigint
  /** What the caller may not have meant. */
  warnings: string[]
}

export class Changes {
  readonly #driver: Driver
  readonly #locks: Locks

  constructor(driver: Driver, locks: Locks) {
    this.#driver = driver
    this.#locks = locks
  }

  /** Changes a word and says what it is then; makes no call when it was like this already. */
  async setWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    // Flags decide about life and death: one change at a time.
    return kind === 'flags'
      ? this.#locks.run(xid, () => {
          write.access.check('configure', xid)
          return this.changeWord(xid, kind, data, write)
        })
      : this.changeWord(xid, kind, data, write)
  }

  /** The same, by who holds the lock of the context. */
  async changeWord(xid: number, kind: WordKind, data: FlagsData, write: Write): Promise<ChangedWordValue> {
    const before = readWord(this.#driver, xid, kind)
    const wanted = (before & ~data.mask) | (data.flags & data.mask)
    // STATE_* bits that are cleared stay cleared: the kernel ignores the wish to set them, and so does the forecast.
    const after = kind === 'flags' ? wanted & (~STATE_BITS | before) : wanted
    checkSupported(this.#driver, kind, after & ~before, write.record ?? false)
    checkChangeable(this.#driver, kind, after ^ before, write.record ?? false)
    if (kind === 'flags') checkIrreversible(before, after, write.irreversible ?? false)
    const changed = after !== before
    const mask = kind === 'flags' ? this.#driver.vx_flags_get(xid).mask & (~STATE_BITS | after) : WORD_MAX
    if (changed && !write.dryRun) {
      await writesOf(this.#driver, write)[`vx_${kind}_set`](xid, data)
      noteWord(this.#driver, write, kind, before, after)
      write.events.add({ type: 'changed', xid, what: kind, value: tableOf(this.#driver, kind).view(after) })
      if (kind === 'flags' && canPause(this.#driver) && (before ^ after) & SCHED_PAUSE)
        write.events.add({ type: after & SCHED_PAUSE ? 'paused' : 'resumed', xid })
    }
    const warnings = kind === 'flags' && changed ? flagWarnings(before, after) : []
    return { changed, word: after, mask, warnings }
  }

  /** Sets the fields that differ; returns their names. */
  async setUname(xid: number, values: UnameInput, write: Write): Promise<UnameField[]> {
    this.checkUname(values, write)
    const changed = unameFields.flatMap(({ name: field }) => {
      const after = values[field]
      const before = after === undefined ? null : unameField(this.#driver, xid, field)
      return after === undefined || after === before ? [] : [{ field, before, after }]
    })
    const writes = writesOf(this.#driver, write)
    for (const { field, before, after } of write.dryRun ? [] : changed) {
      await writes.vx_uname_set(xid, field, after)
      write.events.add({ type: 'changed', xid, what: `uname.${field}`, value: after })
      write.changes.push({ what: `uname.${field}`, before, after })
    }
    return changed.map(({ field }) => field)
  }

  /** Sets the limits that differ; returns their names. */
  async setLimits(xid: number, values: LimitsInput, write: Write): Promise<LimitName[]> {
    // A flag decides whether they act: one change at a time.
    return this.#locks.run(xid, () => {
      write.access.check('configure', xid)
      return this.changeLimits(xid, values, write)
    })
  }

  /** The same, by who holds the lock of the context. @param isNew its creation is what is told of */
  async changeLimits(xid: number, values: LimitsInput, write: Write, isNew = false): Promise<LimitName[]> {
    this.checkLimits(values, write)
    const before = this.#driver.limits_get(xid)
    const changed = limitNames.filter((name) => values[name] !== undefined && values[name] !== before[name])
    if (changed.length === 0 || write.dryRun) return changed
    await writesOf(this.#driver, write).limits_set(xid, Object.fromEntries(changed.map((name) => [name, values[name]])))
    for (const name of changed) {
      const what = `limits.${name}` as const
      const after = values[name] ?? null
      write.changes.push({ what, before: before[name], after })
      if (!isNew) write.events.add({ type: 'changed', xid, what, value: after })
    }
    return changed
  }

  /** The names that a body gives, checked. */
  unameOf(body: ContextBody, write: Write): UnameInput {
    const { name, uname } = body
    if (name !== undefined && uname?.context !== undefined && name !== uname.context)
      throw invalid('name', 'and uname.context are the same thing, but differ')
    const values = name === undefined ? { ...uname } : { ...uname, context: name }
    this.checkUname(values, write)
    return values
  }

  checkUname(values: UnameInput, write: Write): void {
    for (const { name } of unameFields) {
      const value = values[name]
      if (value === undefined) continue
      const reason = checkUnameValue(value)
      if (reason) throw invalid(name === 'context' ? 'name (uname.context)' : `uname.${name}`, reason)
      if (!write.record && this.#driver.treatment('uname', name) === 'unsupported')
        throw new Refusal(
          422,
          'unsupported',
          `uname.${name}: the ${this.#driver.name} driver cannot set it; ?unsupported=record keeps it without effect`
        )
    }
  }

  checkLimits(values: LimitsInput, write: Write): void {
    if (write.record) return
    const refused = limitNames.filter(
      (name) => (values[name] ?? null) !== null && this.#driver.treatment('limits', name) === 'unsupported'
    )
    if (refused.length > 0) throw unsupported(this.#driver, 'limits', refused)
  }
}

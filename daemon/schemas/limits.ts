import Type, { type Static } from 'typebox'
import { limits, type LimitName } from '../vocabulary/limits.js'
import { nullable, ref, strict } from './common.js'
import { LimitFieldName } from './names.js'

const each = <T>(value: (limit: (typeof limits)[number]) => T) =>
  Object.fromEntries(limits.map((limit) => [limit.name, value(limit)])) as Record<LimitName, T>

const description = ({ meaning, flag }: (typeof limits)[number]) => `${meaning}. Acts while ${flag} is set; null: none.`

const shown = {
  ...each((limit) => nullable(Type.Integer({ description: description(limit) }))),
  enforced: Type.Array(ref(LimitFieldName), {
    description: 'Those that act: given, their flag set, and the driver can.'
  })
}
export const Limits = strict(shown, { $id: 'Limits', description: 'Limits of a context.' })
export type LimitsReply = Static<typeof Limits>

const given = each((limit) =>
  Type.Optional(
    nullable(Type.Integer({ minimum: limit.minimum, maximum: limit.maximum, description: description(limit) }))
  )
)
export const LimitsInput = Type.Unsafe<Partial<Record<LimitName, number | null>>>(
  strict(given, { $id: 'LimitValues', description: 'Limits that a context gets; null: none.' })
)
export type LimitsInput = Partial<Record<LimitName, number | null>>
export const LimitsPatch = strict(given, {
  $id: 'ChangeLimitsRequest',
  minProperties: 1,
  description: 'Limits to set; null takes one away, the others stay.',
  examples: [{ pids_max: 512 }, { pids_max: null }]
})

export const ChangedLimits = strict(
  { ...shown, changed: Type.Array(ref(LimitFieldName), { description: 'Those that were set.' }) },
  { $id: 'ChangedLimits', description: 'Limits after a write, and those that changed.' }
)

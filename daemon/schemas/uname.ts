import Type, { type Static } from 'typebox'
import { unameFields, type UnameField } from '../vocabulary/uname.js'
import { nullable, strict, XID } from './common.js'

const each = <T>(value: (field: (typeof unameFields)[number]) => T) =>
  Object.fromEntries(unameFields.map((field) => [field.name, value(field)])) as Record<UnameField, T>

const Value = (description: string) =>
  Type.String({ description: `${description}. At most 64 bytes of UTF-8, no NUL.` })

export const Uname = strict(
  each(({ meaning }) => nullable(Type.String({ description: meaning }))),
  { $id: 'Uname', description: 'Virtual system information; null where the kernel has none.' }
)
export type Uname = Static<typeof Uname>

export const UnameInput = strict(each(({ meaning }) => Type.Optional(Value(meaning))))
export type UnameInput = Partial<Record<UnameField, string>>

export const UnamePatch = strict(
  each(({ meaning }) => Type.Optional(Value(meaning))),
  { minProperties: 1 }
)

export const ChangedUname = strict(
  { ...each(({ meaning }) => nullable(Type.String({ description: meaning }))), changed: Type.Array(Type.String()) },
  { $id: 'ChangedUname', description: 'Virtual system information after a write, and the fields that changed.' }
)

export const UnameFieldParams = strict({
  xid: XID,
  field: Type.Unsafe<UnameField>({ type: 'string', enum: unameFields.map(({ name }) => name) })
})
export const UnameValue = strict({ value: Value('The value') })
export const UnameFieldReply = strict(
  { field: Type.String(), value: nullable(Type.String()) },
  { $id: 'UnameField', description: 'One field of the virtual system information.' }
)
export const ChangedUnameField = strict(
  { field: Type.String(), value: nullable(Type.String()), changed: Type.Boolean() },
  { $id: 'ChangedUnameField', description: 'One field after a write.' }
)

import Type, { type Static } from 'typebox'
import { unameFields, type UnameField } from '../vocabulary/uname.js'
import { nullable, ref, strict, XID } from './common.js'
import { UnameFieldName } from './names.js'

const each = <T>(value: (field: (typeof unameFields)[number]) => T) =>
  Object.fromEntries(unameFields.map((field) => [field.name, value(field)])) as Record<UnameField, T>

const Value = (description: string) =>
  Type.String({ description: `${description}. At most 64 bytes of UTF-8, no NUL.` })

export const Uname = strict(
  each(({ meaning }) => nullable(Type.String({ description: meaning }))),
  { $id: 'Uname', description: 'Virtual system information; null where the kernel has none.' }
)
export type Uname = Static<typeof Uname>

export const UnameInput = Type.Unsafe<Partial<Record<UnameField, string>>>(
  strict(
    each(({ meaning }) => Type.Optional(Value(meaning))),
    {
      $id: 'UnameValues',
      description: 'Virtual system information that a context gets.'
    }
  )
)
export type UnameInput = Partial<Record<UnameField, string>>

export const UnamePatch = strict(
  each(({ meaning }) => Type.Optional(Value(meaning))),
  {
    $id: 'ChangeUnameRequest',
    minProperties: 1,
    description: 'Fields to set; the others stay.',
    examples: [{ nodename: 'web2', domainname: 'example.org' }]
  }
)

export const ChangedUname = strict(
  {
    ...each(({ meaning }) => nullable(Type.String({ description: meaning }))),
    changed: Type.Array(ref(UnameFieldName), { description: 'The fields that were set.' })
  },
  { $id: 'ChangedUname', description: 'Virtual system information after a write, and the fields that changed.' }
)

export const UnameFieldParams = strict({
  xid: XID,
  field: ref(UnameFieldName)
})
export const UnameValue = strict(
  { value: Value('The value') },
  { $id: 'SetUnameFieldRequest', description: 'A new value.', examples: [{ value: 'web2' }] }
)
export const UnameFieldReply = strict(
  { field: ref(UnameFieldName), value: nullable(Type.String()) },
  { $id: 'UnameField', description: 'One field of the virtual system information.' }
)
export const ChangedUnameField = strict(
  { field: ref(UnameFieldName), value: nullable(Type.String()), changed: Type.Boolean() },
  { $id: 'ChangedUnameField', description: 'One field after a write.' }
)

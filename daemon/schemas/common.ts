/** Pieces that several resources share. Bodies and parameters are strict: an unknown field is refused. */
import Type, { type Static, type TProperties, type TSchema } from 'typebox'

export const strict = <T extends TProperties>(properties: T, options: object = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** A reference to a schema that app.ts has registered, with the type of that schema. */
export const ref = <T extends TSchema>(schema: T & { $id?: string }) =>
  Type.Unsafe<Static<T>>({ $ref: `${(schema as { $id: string }).$id}#` })

export const nullable = <T extends TSchema>(schema: T & { type?: string }) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [(schema as { type: string }).type, 'null'] })

/** One of these texts. */
export const enumOf = <const T extends string>(values: readonly T[], options: object = {}) =>
  Type.Unsafe<T>({ type: 'string', enum: values, ...options })

/** One of the texts of a registered enum in the document; any other text too, so that a name in another form passes. */
export const openEnum = (schema: TSchema & { $id?: string }, options: object = {}) =>
  Type.Unsafe<string>({
    anyOf: [{ type: 'string', maxLength: 64 }, { $ref: `${(schema as { $id: string }).$id}#` }],
    ...options
  })

/** A name of a registered enum, or null; in the document any other text too. */
export const orNull = (schema: TSchema & { $id?: string }, description: string) =>
  Type.Unsafe<string | null>({ anyOf: [openEnum(schema), { type: 'null' }], description })

/** A good answer: JSON of this schema, and headers that come with it. */
export const answer = <T extends TSchema>(schema: T, description: string, headers: Record<string, TSchema> = {}) => ({
  description,
  headers,
  content: { 'application/json': { schema } }
})

export const ETag = Type.String({ description: 'Tag of the context as it is now, for If-Match.' })
export const Location = Type.String({ description: 'Path of the new context.' })

/** Headers are described, and read where they mean something: others pass. */
export const IfMatch = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description: 'Do it only while the context has one of these ETags (RFC 9110); `*`: while it is there.'
    })
  )
})

export const IfNoneMatch = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({
      description: 'GET: 304 while the context has one of these ETags. PUT: `*` is 412 where the context exists.'
    })
  )
})
export const IdempotencyKey = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same key of the same uid gets the first answer, for ten minutes.' })
  )
})

export const XID = Type.Integer({
  minimum: 2,
  maximum: 65535,
  description: 'Context id. 0 is the host, 1 the spectator context.'
})

/** No NUL: it would end the string in every system call. */
export const NO_NUL = '^[^\\u0000]*$'
export const Text = (options: object = {}) => Type.String({ pattern: NO_NUL, ...options })
export const AbsolutePath = (description: string) =>
  Type.String({ pattern: '^/[^\\u0000]*$', maxLength: 4095, description })

export const XidParams = strict({ xid: XID })

export const dryRun = Type.Optional(Type.Boolean({ description: 'Report what would change and change nothing.' }))
export const unsupported = Type.Optional(
  Type.Literal('record', {
    description: 'Keep names that this driver does not enforce instead of refusing them with 422 (see /vocabulary).'
  })
)
export const irreversible = Type.Optional(
  Type.Boolean({ description: 'Allow STATE_ADMIN to be cleared. Nothing can administer the context afterwards.' })
)
export const WriteQuery = strict({ dry_run: dryRun, unsupported, irreversible })
export type WriteQuery = Static<typeof WriteQuery>

/** Seconds; a fraction is allowed. */
export const Seconds = (description: string, maximum = 86_400) => Type.Number({ minimum: 0, maximum, description })

export const Timestamp = (description: string) => Type.String({ format: 'date-time', description })

export const Nanoseconds = (description: string) =>
  Type.String({ pattern: '^-?[0-9]+$', description: `${description} Nanoseconds, exact, as decimal text.` })

/** Answer of a dry run. */
export const Change = strict(
  {
    xid: XID,
    changed: Type.Array(Type.String(), { description: 'What would change; empty when nothing would.' }),
    dry_run: Type.Boolean()
  },
  { $id: 'Change', description: 'What a request with dry_run=true would change.' }
)
export type Change = Static<typeof Change>

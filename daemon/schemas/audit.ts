import Type, { type Static } from 'typebox'
import { nullable, strict, Timestamp, XID } from './common.js'

export const AuditQuery = strict({
  xid: Type.Optional(XID),
  since: Type.Optional(Timestamp('Lines not written before.')),
  after: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Lines beyond this number; `next` of the page before.' })
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Lines of a page, 100 when left out.' }))
})
export type AuditQuery = Static<typeof AuditQuery>

const Sha256 = (description: string) => Type.String({ pattern: '^[0-9a-f]{64}$', description })

/** Lines are sent as they are in the file; those of events have other fields than those of requests. */
export const AuditLine = Type.Object(
  {
    seq: Type.Integer({ description: 'Goes on over rotations and restarts.' }),
    prev: Sha256('SHA-256 of the line before, without its line feed.'),
    time: Timestamp('When it was written.'),
    event: Type.Optional(
      Type.String({
        description: 'What is no request: helper, interrupted, gap, lost, torn, denials (SPECIFICATION.md).'
      })
    ),
    sum: Sha256('SHA-256 of everything before it in its line.')
  },
  { $id: 'AuditLine', description: 'A line of the audit log.', additionalProperties: true }
)

export const AuditPage = strict(
  {
    records: Type.Array(Type.Unsafe<Static<typeof AuditLine>>({ $ref: 'AuditLine#' })),
    next: nullable(Type.Integer({ description: 'To be given as `after`; null when there is no more now.' })),
    last: strict({
      seq: Type.Integer(),
      sha256: Sha256('Of the last line that was written: `contextd audit verify --anchor SEQ:SHA256` looks for it.')
    })
  },
  { $id: 'AuditPage', description: 'Some lines of the audit log, oldest first.' }
)

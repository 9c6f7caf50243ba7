import type { Readable } from 'node:stream'
import Type, { type Static } from 'typebox'
import { strict, Timestamp } from './common.js'

const TAIL_MAX = 1_000_000

export const LogQuery = strict({
  follow: Type.Optional(
    Type.Boolean({
      description: 'Go on with what is written from now on, until the context is gone or the daemon stops.'
    })
  ),
  tail: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: TAIL_MAX,
      description: 'So many of the last lines; default all that are kept.'
    })
  ),
  stream: Type.Optional(
    Type.Union([Type.Literal('stdout'), Type.Literal('stderr')], { description: 'Lines of this stream alone.' })
  ),
  since: Type.Optional(Timestamp('Lines from this time on, to the nanosecond.'))
})
export type LogQuery = Static<typeof LogQuery>

export const Log = {
  description:
    'Lines of `TIME STREAM TAG TEXT`, as a CRI runtime writes them: time in UTC with nanoseconds, `stdout` or `stderr`, `F` for a whole line and `P` for a part that the next one of its stream goes on with.',
  content: {
    'text/plain': {
      schema: Type.Unsafe<Readable>({
        type: 'string',
        examples: ['2026-10-06T00:17:09.669794202Z stdout F listening on port 80\n']
      })
    }
  }
}

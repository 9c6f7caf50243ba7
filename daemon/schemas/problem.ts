import Type, { type Static } from 'typebox'
import { errnos, problemKinds, problemPage } from '../vocabulary/problems.js'
import { enumOf, openEnum, ref } from './common.js'

export const ProblemType = enumOf(
  [...Object.keys(problemKinds), ...errnos.flatMap(({ codes }) => codes.map((code) => code.toLowerCase()))],
  { $id: 'ProblemType', description: `Kind of a problem: each is explained at ${problemPage}, below its own name.` }
)

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: openEnum(ProblemType, {
      description: `Stable slug of the kind of problem; ${problemPage}#SLUG says what to do, as the answer's Link does.`
    }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    errno: Type.Optional(Type.String({ description: 'Name of the errno, such as ESRCH.' })),
    call: Type.Optional(Type.String({ description: 'The call that failed, such as execve.' })),
    xid: Type.Optional(Type.Integer())
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457).' }
)
export type Problem = Static<typeof Problem>

const Link = Type.String({
  description: `Where the problem is explained: <${problemPage}#TYPE>; rel="help" (RFC 8288).`
})
const RetryAfter = Type.Integer({
  description: 'Seconds; with 429 and 503: nothing was done, and the same may be asked again.'
})

const problem = (description: string, headers: object) => ({
  description,
  headers,
  content: { 'application/problem+json': { schema: ref(Problem) } }
})

/** Every route's error answers. */
export const problems = {
  '4xx': problem('The request cannot be carried out as it is.', { Link, 'Retry-After': RetryAfter }),
  '5xx': problem('The daemon or the kernel cannot carry it out now.', { Link, 'Retry-After': RetryAfter })
}

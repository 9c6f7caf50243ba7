import Type, { type Static } from 'typebox'
import { ref } from './common.js'

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'Stable slug of the kind of problem, explained in SPECIFICATION.md.' }),
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

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: ref(Problem) } }
})

/** Every route's error answers. */
export const problems = {
  '4xx': problem('The request cannot be carried out as it is.'),
  '5xx': problem('The daemon or the kernel cannot carry it out now.')
}

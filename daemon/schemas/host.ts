import Type, { type Static } from 'typebox'
import { treatments, vocabularyKinds } from '../vocabulary/treatment.js'
import { nullable, strict } from './common.js'

export const Home = strict(
  {
    name: Type.String(),
    version: Type.String(),
    driver: Type.String(),
    links: Type.Record(Type.String(), Type.String())
  },
  { $id: 'Home', description: 'Where things are.' }
)

export const Version = strict(
  {
    version: Type.String(),
    driver: Type.String({ description: 'vserver, namespaces or memory.' }),
    about: Type.String({ description: 'What the driver works with, or that nothing real runs.' }),
    passed: Type.Array(Type.String(), { description: 'Why the drivers before this one were not taken.' }),
    bcaps_abi: Type.String({ description: 'Which numbers CAP_* names have.' }),
    kernel: Type.String(),
    node: Type.String(),
    pid: Type.Integer()
  },
  { $id: 'Version', description: 'What is running here.' }
)

export const Health = strict({ status: Type.Literal('ok') }, { $id: 'Health', description: 'The daemon is alive.' })

export const Ready = strict(
  {
    status: Type.Literal('ready'),
    driver: Type.String({ description: 'The one that works.' }),
    audit: Type.Unsafe<'ok' | 'failing'>({
      type: 'string',
      enum: ['ok', 'failing'],
      description: 'failing: writes are done without a line, as --audit-failure continue asks.'
    })
  },
  { $id: 'Ready', description: 'The daemon can do its work.' }
)

const Entry = strict({
  name: Type.String(),
  constant: Type.String({ description: "The seed's own name." }),
  bit: nullable(Type.Integer({ description: 'Bit number in a word, or number of a field; null where there is none.' })),
  value: nullable(Type.String({ description: 'The bit as a word.' })),
  meaning: Type.String(),
  source: Type.String(),
  treatment: Type.Unsafe<(typeof treatments)[number]>({
    type: 'string',
    enum: [...treatments],
    description:
      'enforced; always: acts, set or not; at_create: set at creation only; new_processes: for processes started from now on; ' +
      'recorded: kept without effect, as on the kernel itself; unsupported: refused with 422.'
  }),
  reason: Type.Optional(Type.String({ description: 'What this host lacks, of a name that is unsupported for that.' }))
})
export type VocabularyEntry = Static<typeof Entry>

export const Vocabulary = Type.Unsafe<
  Record<(typeof vocabularyKinds)[number], VocabularyEntry[]> & { signals: Record<string, number> }
>({
  $id: 'Vocabulary',
  description: 'Every name, and how the active driver treats it.',
  type: 'object',
  additionalProperties: false,
  required: [...vocabularyKinds, 'signals'],
  properties: {
    ...Object.fromEntries(vocabularyKinds.map((kind) => [kind, { type: 'array', items: Entry }])),
    signals: { type: 'object', additionalProperties: { type: 'integer' } }
  }
})

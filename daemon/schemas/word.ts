import Type, { type Static, type TSchema } from 'typebox'
import { openEnum, ref, strict } from './common.js'
import { BcapName, CcapName, FlagName } from './names.js'

const WordText = (description: string) =>
  Type.String({ pattern: '^0x[0-9a-fA-F]{1,16}$', description, examples: ['0x0000004600000000'] })

const mask = Type.String({ description: 'The bits that may still be changed.' })
const changed = Type.Boolean({ description: 'False when the word was like this already.' })
const warnings = Type.Optional(Type.Array(Type.String(), { description: 'What is allowed, and hardly ever meant.' }))

const exclusive = 'Give either names or numbers, not both.'

interface Kind<T extends string> {
  /** The components' names have it in them: FlagsWord, ReplaceFlagsRequest … */
  title: string
  /** "the flags of a context" */
  what: string
  name: TSchema & { $id?: string }
  /** Of two names, for examples that work. */
  examples: [T, T]
  /** The bit of the first of them. */
  bit: string
}

/** The schemas of one kind of word. */
function schemasOf<T extends string>({ title, what, name, examples: [one, other], bit }: Kind<T>) {
  const word = {
    value: Type.String({ description: 'The whole word, 16 hexadecimal digits.', examples: ['0x0000004600000000'] }),
    names: Type.Unsafe<string[]>({
      type: 'array',
      items: ref(name),
      description: 'Names of the set bits, in bit order.'
    }),
    unknown: Type.String({ description: 'The set bits that have no name.' })
  }
  const Names = (description: string) =>
    Type.Unsafe<string[]>({ type: 'array', maxItems: 128, items: openEnum(name), description })
  const keep = title === 'Flags' ? ['PERSISTENT'] : []
  return {
    name,
    Word: strict(word, { $id: `${title}Word`, description: `${what}.` }),
    Changed: strict({ ...word, changed }, { $id: `Changed${title}Word`, description: `${what} after a write.` }),
    Replace: strict(
      {
        names: Type.Optional(
          Names('The names to be set, with or without prefix, in any case; all others are cleared.')
        ),
        value: Type.Optional(WordText('The whole word.'))
      },
      {
        $id: `Replace${title}Request`,
        minProperties: 1,
        description: `Replaces the word. ${exclusive}`,
        examples: [{ names: [...keep, one] }]
      }
    ),
    Change: strict(
      {
        set: Type.Optional(Names('Names to set.')),
        clear: Type.Optional(Names('Names to clear.')),
        value: Type.Optional(WordText('New values of the bits in mask.')),
        mask: Type.Optional(WordText('The bits to change.'))
      },
      {
        $id: `Change${title}Request`,
        minProperties: 1,
        dependentRequired: { value: ['mask'], mask: ['value'] },
        description: `Changes single bits. ${exclusive}`,
        examples: [
          { set: [one], clear: [other] },
          { value: '0x0', mask: bit }
        ]
      }
    ),
    /** In a context's body: names, or the whole word as text. */
    Input: Type.Unsafe<string[] | string>({
      anyOf: [Names('Names, with or without prefix, in any case.'), WordText('The whole word.')]
    })
  }
}

const bcapWords = schemasOf({
  title: 'Bcaps',
  what: 'System capabilities of a context',
  name: BcapName,
  examples: ['CHOWN', 'KILL'],
  bit: '0x0000000000000001'
})
const ccapWords = schemasOf({
  title: 'Ccaps',
  what: 'Context capabilities',
  name: CcapName,
  examples: ['SET_UTSNAME', 'SYSLOG'],
  bit: '0x0000000000000001'
})
const flagWords = schemasOf({
  title: 'Flags',
  what: 'Flags of a context',
  name: FlagName,
  examples: ['IGNEG_NICE', 'INFO_PRIVATE'],
  bit: '0x0010000000000000'
})

/** A word of any kind. */
export const Word = strict(
  {
    value: Type.String({ description: 'The whole word, 16 hexadecimal digits.' }),
    names: Type.Array(Type.String(), { description: 'Names of the set bits, in bit order.' }),
    unknown: Type.String({ description: 'The set bits that have no name.' })
  },
  { $id: 'Word', description: 'A 64-bit word.' }
)

/** By the name of their resource. The flags' replies have more. */
export const words = {
  flags: {
    ...flagWords,
    Word: strict({ ...flagWords.Word.properties, mask }, { $id: 'FlagsWord', description: 'Flags of a context.' }),
    Changed: strict(
      { ...flagWords.Word.properties, mask, changed, warnings },
      { $id: 'ChangedFlagsWord', description: 'Flags of a context after a write.' }
    )
  },
  bcaps: bcapWords,
  ccaps: ccapWords
}

export type WordReplace = Static<typeof bcapWords.Replace>
export type WordPatch = Static<typeof bcapWords.Change>
export type WordInput = Static<typeof bcapWords.Input>

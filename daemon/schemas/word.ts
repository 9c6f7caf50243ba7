import Type, { type Static } from 'typebox'
import { strict } from './common.js'

const Names = (description: string) => Type.Array(Type.String({ maxLength: 64 }), { maxItems: 128, description })
const WordText = (description: string) =>
  Type.String({ pattern: '^0x[0-9a-fA-F]{1,16}$', description, examples: ['0x0000004600000000'] })

const wordProperties = {
  value: Type.String({ description: 'The whole word, 16 hexadecimal digits.', examples: ['0x0000004600000000'] }),
  names: Type.Array(Type.String(), { description: 'Names of the set bits, in bit order.' }),
  unknown: Type.String({ description: 'The set bits that have no name.' })
}
const mask = Type.String({ description: 'The bits that may still be changed.' })
const changed = Type.Boolean({ description: 'False when the word was like this already.' })

export const Word = strict(wordProperties, { $id: 'Word', description: 'A 64-bit word.' })
export const FlagsWord = strict(
  { ...wordProperties, mask },
  { $id: 'FlagsWord', description: 'The flags of a context.' }
)
export const ChangedWord = strict(
  { ...wordProperties, changed },
  { $id: 'ChangedWord', description: 'A word after a write.' }
)
export const ChangedFlagsWord = strict(
  {
    ...wordProperties,
    mask,
    changed,
    warnings: Type.Optional(Type.Array(Type.String(), { description: 'What is allowed, and hardly ever meant.' }))
  },
  { $id: 'ChangedFlagsWord', description: 'The flags of a context after a write.' }
)

const exclusive = 'Give either names or numbers, not both.'

export const WordReplace = strict(
  {
    names: Type.Optional(Names('The names to be set, with or without prefix, in any case; all others are cleared.')),
    value: Type.Optional(WordText('The whole word.'))
  },
  { minProperties: 1, description: `Replaces the word. ${exclusive}` }
)
export type WordReplace = Static<typeof WordReplace>

export const WordPatch = strict(
  {
    set: Type.Optional(Names('Names to set.')),
    clear: Type.Optional(Names('Names to clear.')),
    value: Type.Optional(WordText('New values of the bits in mask.')),
    mask: Type.Optional(WordText('The bits to change.'))
  },
  {
    minProperties: 1,
    dependentRequired: { value: ['mask'], mask: ['value'] },
    description: `Changes single bits. ${exclusive}`
  }
)
export type WordPatch = Static<typeof WordPatch>

/** In a context's body: names, or the whole word as text. */
export const WordInput = Type.Union([Names('Names, with or without prefix, in any case.'), WordText('The whole word.')])
export type WordInput = Static<typeof WordInput>

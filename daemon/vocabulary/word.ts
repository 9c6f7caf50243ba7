import { canonicalName, quote, unknownName, VocabularyError } from './names.js'

export { VocabularyError }

/** One named bit of a word; the name is without its prefix. */
export interface BitName {
  readonly name: string
  readonly bit: number
  readonly meaning: string
  readonly source: string
}

/** Makes rows that share one source, so that a table reads as one. */
export const rowsFrom =
  (source: string) =>
  (bit: number, name: string, meaning: string): BitName => ({ name, bit, meaning, source })

export type WordPrefix = 'VXF_' | 'VXC_' | 'CAP_' | 'VXM_'

/** A word as the API shows it: value and unknown are formatted, names are in bit order. */
export interface WordView {
  readonly value: string
  readonly names: readonly string[]
  readonly unknown: string
}

/** The word with every bit set, the largest. */
export const WORD_MAX = 0xffff_ffff_ffff_ffffn

const VIEW_CACHE_MAX = 4096

/** '0x' and 16 lower-case hexadecimal digits. A word outside 0..2^64-1 is a RangeError. */
export function formatWord(word: bigint): string {
  if (word < 0n || word > WORD_MAX) throw new RangeError(`not a 64-bit word: ${word}`)
  return `0x${word.toString(16).padStart(16, '0')}`
}

/** The word that '0x' and 1 to 16 hexadecimal digits (any case) stand for; anything else is a VocabularyError. */
export function parseWord(text: string): bigint {
  if (!/^0x[0-9a-f]{1,16}$/i.test(text)) {
    throw new VocabularyError(`bad word ${quote(text)}, expected 0x and 1 to 16 hexadecimal digits`)
  }
  return BigInt(text)
}

/** The names of a 64-bit word's bits. Bits without a name are legal and kept: a newer kernel may know them. */
export class WordTable {
  readonly prefix: WordPrefix
  /** In bit order. */
  readonly rows: readonly BitName[]
  /** The bits that have a name. */
  readonly known: bigint

  readonly #bits = new Map<string, bigint>()
  readonly #views = new Map<bigint, WordView>()

  /** Throws an Error for a duplicate name or bit, a bit outside 0..63, and a name that is no constant without prefix. */
  constructor(prefix: WordPrefix, rows: readonly BitName[]) {
    let known = 0n
    for (const { name, bit } of rows) {
      if (!/^[A-Z][A-Z0-9_]*$/.test(name) || name.startsWith(prefix)) throw new Error(`${prefix}: bad name ${name}`)
      if (!Number.isInteger(bit) || bit < 0 || bit > 63) throw new Error(`${prefix}${name}: bad bit ${bit}`)
      const value = 1n << BigInt(bit)
      if (this.#bits.has(name)) throw new Error(`${prefix}${name}: duplicate name`)
      if ((known & value) !== 0n) throw new Error(`${prefix}${name}: duplicate bit ${bit}`)
      this.#bits.set(name, value)
      known |= value
    }
    this.prefix = prefix
    this.rows = Object.freeze(rows.toSorted((a, b) => a.bit - b.bit))
    this.known = known
  }

  /** The names of the set bits, in bit order. */
  names(word: bigint): string[] {
    return this.rows.filter(({ bit }) => ((word >> BigInt(bit)) & 1n) === 1n).map(({ name }) => name)
  }

  /** The set bits that have no name. */
  unknown(word: bigint): bigint {
    return word & ~this.known
  }

  /** The word of these names, each with or without the prefix, in any case. An unknown name is a VocabularyError. */
  parse(names: readonly string[]): bigint {
    return names.reduce((word, name) => word | this.bit(name), 0n)
  }

  /** The row of a name, with or without the prefix, in any case. */
  find(name: string): BitName | undefined {
    const canonical = canonicalName(name, this.prefix)
    return this.rows.find((row) => row.name === canonical)
  }

  /** The one-bit word of a name, with or without the prefix, in any case. An unknown name is a VocabularyError. */
  bit(name: string): bigint {
    const canonical = canonicalName(name, this.prefix)
    const value = canonical === undefined ? undefined : this.#bits.get(canonical)
    if (value === undefined) throw unknownName(`${this.prefix} name`, name, canonical, this.#bits.keys())
    return value
  }

  /**
   * The word as the API shows it, frozen and shared between callers. A word outside 0..2^64-1 is a RangeError.
   * Memoised because every GET of a context asks for its few words again.
   */
  view(word: bigint): WordView {
    const cached = this.#views.get(word)
    if (cached !== undefined) return cached
    const view = Object.freeze({
      value: formatWord(word),
      names: Object.freeze(this.names(word)),
      unknown: formatWord(this.unknown(word))
    })
    // Clients choose words, so the map is bounded; starting over is cheaper than tracking use.
    if (this.#views.size >= VIEW_CACHE_MAX) this.#views.clear()
    this.#views.set(word, view)
    return view
  }
}

/** Text that is no name or value of the vocabulary; the message is fit for the one who sent it. */
export class VocabularyError extends Error {
  override readonly name = 'VocabularyError'
}

/**
 * The upper-case form of a name without its prefix, or undefined when the text cannot be a name.
 * Only ASCII passes: toUpperCase() maps letters such as U+017F (long s) onto ASCII ones.
 */
export function canonicalName(text: string, prefix: string): string | undefined {
  if (!/^[\w+-]+$/.test(text)) return undefined
  const upper = text.toUpperCase()
  return upper.startsWith(prefix) ? upper.slice(prefix.length) : upper
}

/** Text of a sender in quotes, escaped and cut to a length that fits a log line. */
export function quote(text: string): string {
  return text.length > 40 ? `${JSON.stringify(text.slice(0, 40))}…` : JSON.stringify(text)
}

/**
 * The error for a name that is not among `known`, with the closest of them when one is near.
 * `name` is in canonical form (canonicalName), or undefined when it has none; `text` is what was sent.
 */
export function unknownName(kind: string, text: string, name: string | undefined, known: Iterable<string>) {
  const near = closest(name ?? text.trim().toUpperCase(), known)
  return new VocabularyError(`unknown ${kind} ${quote(text)}${near === undefined ? '' : `, did you mean ${near}?`}`)
}

function closest(name: string, known: Iterable<string>): string | undefined {
  let limit = name.length < 4 ? 1 : name.length < 9 ? 2 : 3
  let near: string | undefined
  for (const candidate of known) {
    // Lengths that differ by more are further apart than the limit; this also bounds the work for a long name.
    if (Math.abs(candidate.length - name.length) > limit) continue
    const distance = editDistance(name, candidate)
    if (distance > limit) continue
    near = candidate
    limit = distance - 1
  }
  return near
}

/** Letters to replace, insert, drop or swap with their neighbour (optimal string alignment distance). */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(row, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(before, j - 2) + 1 : Infinity
      next.push(Math.min(replaced, swapped, at(row, j) + 1, at(next, j - 1) + 1))
    }
    before = row
    row = next
  }
  return at(row, b.length)
}

const at = (row: readonly number[], column: number) => row[column] ?? Infinity

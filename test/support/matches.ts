import type { Test } from 'tap'

/** What a pattern may be: of an object it has the keys that count, of a list every element. */
type Pattern = unknown

/**
 * Like `t.match`, but it cannot pass by chance: a list has as many elements as its pattern, an empty pattern matches an
 * empty list only, `null` matches null and no missing field, and a string is the whole string. Lint asks for it where a
 * pattern has a list or null.
 */
export function matches(t: Test, actual: unknown, pattern: Pattern, message?: string): boolean {
  const difference = differs(actual, pattern, '')
  return t.equal(difference, undefined, message ?? 'should match exactly', { found: actual, wanted: pattern })
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** @returns a sentence that names the first place that differs */
function differs(actual: unknown, pattern: Pattern, path: string): string | undefined {
  const at = path === '' ? 'the value' : path.slice(1)
  if (pattern instanceof RegExp) {
    const words = actual instanceof Error ? actual.message : actual
    return typeof words === 'string' && pattern.test(words) ? undefined : `${at} is ${text(words)}, not ${pattern}`
  }
  if (typeof pattern === 'function') return isOf(actual, pattern) ? undefined : `${at} is no ${pattern.name}`
  if (Array.isArray(pattern)) {
    if (!Array.isArray(actual)) return `${at} is ${text(actual)}, no list`
    if (actual.length !== pattern.length) return `${at} has ${actual.length} elements, not ${pattern.length}`
    return firstOf(pattern.map((element, index) => differs(actual[index], element, `${path}.${index}`)))
  }
  if (isObject(pattern)) {
    if (!isObject(actual)) return `${at} is ${text(actual)}, no object`
    return firstOf(Object.entries(pattern).map(([key, value]) => differs(actual[key], value, `${path}.${key}`)))
  }
  return Object.is(actual, pattern) ? undefined : `${at} is ${text(actual)}, not ${text(pattern)}`
}

/** String, Number and such stand for any value of their type, a class for its instances. */
const isOf = (value: unknown, type: { name: string }) =>
  [String, Number, Boolean, BigInt].includes(type as never)
    ? typeof value === type.name.toLowerCase()
    : value instanceof (type as new () => unknown)

const firstOf = (found: (string | undefined)[]) => found.find((difference) => difference !== undefined)

const text = (value: unknown) =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part)) as string | undefined

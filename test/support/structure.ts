/**
 * What `npm run check` asks of the structure beside what .dependency-cruiser.js says of daemon/: which way #includes
 * point in native/, and that a file has one subject, of which its length is a sign.
 *
 *   node dist/test/support/structure.js [CHECKOUT]
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file may include what is further down in this list, and what is beside it in its own folder. */
const layers = [
  'native/launcher', // main.cc
  'native/launcher/namespaces',
  'native/launcher/vserver',
  'native/launcher/children',
  'native/launcher/mounts',
  'native/launcher/log',
  'native/launcher/process',
  'native/addon',
  'native/namespaces',
  'native/service',
  'native/vserver',
  'native/launcher/protocol',
  'native'
]

const MOST_LINES = 300

/** Says what a longer file is about in its first line: "// 412 lines: …". */
const hasReason = (text: string) => /^(\/\/|\/\*\*?) ?\d+ lines: \S/.test(text)

/** Files below a directory that have one of these endings, by their path from the checkout. */
function filesOf(checkout: string, directory: string, endings: string[]): string[] {
  return readdirSync(join(checkout, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.includes(extname(entry.name)))
    .map((entry) => relative(checkout, join(entry.parentPath, entry.name)))
    .sort()
}

/** A header and its source are one. */
const unitOf = (file: string) => file.slice(0, -extname(file).length)

export function tooLong(checkout: string): string[] {
  const files = [...filesOf(checkout, 'daemon', ['.ts']), ...filesOf(checkout, 'native', ['.cc', '.h'])]
  return files.flatMap((file) => {
    const text = readFileSync(join(checkout, file), 'utf8')
    const lines = text.split('\n').length - 1
    if (lines <= MOST_LINES || hasReason(text)) return []
    return `${file} has ${lines} lines, more than ${MOST_LINES}: it has two subjects; take one out, or say in its first line why not ("// ${lines} lines: …")`
  })
}

export function wrongIncludes(checkout: string): string[] {
  const files = filesOf(checkout, 'native', ['.cc', '.h'])
  const wrong: string[] = []
  const includes = new Map<string, Set<string>>()
  for (const file of files) {
    const from = layers.indexOf(dirname(file))
    if (from < 0) wrong.push(`${dirname(file)} has no place in the list of test/support/structure.ts: give it one`)
    const others = includes.get(unitOf(file)) ?? new Set<string>()
    includes.set(unitOf(file), others)
    for (const [, name = ''] of readFileSync(join(checkout, file), 'utf8').matchAll(/^#include "([^"]+)"/gm)) {
      const included = normalize(join(dirname(file), name))
      const to = layers.indexOf(dirname(included))
      if (to >= 0 && to < from)
        wrong.push(
          `${file} includes ${included}, which is above it (test/support/structure.ts): move what it needs below`
        )
      if (unitOf(included) !== unitOf(file)) others.add(unitOf(included))
    }
  }
  return [...new Set(wrong), ...circles(includes)]
}

/** Each circle once, by a search from every unit that comes back to it. */
function circles(includes: Map<string, Set<string>>): string[] {
  const found = new Map<string, string>()
  const search = (start: string, at: string, path: string[], seen: Set<string>): void => {
    for (const next of includes.get(at) ?? []) {
      if (next === start)
        found.set(
          [...path].sort().join(),
          `a circle of includes: ${[...path, start].join(' -> ')}; take out what they share`
        )
      else if (!seen.has(next)) {
        seen.add(next)
        search(start, next, [...path, next], seen)
      }
    }
  }
  for (const unit of includes.keys()) search(unit, unit, [unit], new Set([unit]))
  return [...found.values()]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const checkout = process.argv[2] ?? fileURLToPath(new URL('../../../', import.meta.url))
  const wrong = [...tooLong(checkout), ...wrongIncludes(checkout)]
  for (const line of wrong) console.error(line)
  process.exitCode = wrong.length > 0 ? 1 : 0
}

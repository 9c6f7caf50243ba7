/** Measures contextd beside its peers and holds it to its budgets. */
import { parseArgs } from 'node:util'
import { TestDaemon } from '../test/support/daemon.js'
import { abuse } from './abuse.js'
import { addon } from './addon.js'
import type { Measure } from './bench.js'
import { captures } from './captures.js'
import { exec } from './exec.js'
import { life } from './life.js'
import { memory } from './memory.js'
import { reads } from './reads.js'
import { isMissed, table, type Section } from './report.js'

const help = `Usage: node dist/bench/run.js [options]      (npm run bench -- ARGS="--only a,b")

  --only LIST   of a (reads), b (life of a context), c (capture exec), d (memory),
                e (native calls of the vserver driver), f (harmful clients, readers of events),
                g (captured output); default all
  --rounds N    rounds of each comparison, 1 to 1000; default 7
  --help        this text

b, c, d and g run real contexts, e the emulator of test/; they need root. Exit code 1: a budget was missed.
`

const measures: Record<string, { measure: Measure; needsRoot: boolean }> = {
  a: { measure: reads, needsRoot: false },
  b: { measure: life, needsRoot: true },
  c: { measure: exec, needsRoot: true },
  d: { measure: memory, needsRoot: true },
  e: { measure: addon, needsRoot: true },
  f: { measure: abuse, needsRoot: false },
  g: { measure: captures, needsRoot: true }
}

const EXIT_MISSED = 1
const EXIT_USAGE = 2
const EXIT_SIGNALLED = 130

function usage(reason: string): never {
  process.stderr.write(`bench: ${reason}\n${help}`)
  process.exit(EXIT_USAGE)
}

function readOptions() {
  try {
    const options = { only: { type: 'string' }, rounds: { type: 'string' }, help: { type: 'boolean' } } as const
    const { only, rounds = '7', help: asked } = parseArgs({ options }).values
    const letters = only?.split(',') ?? Object.keys(measures)
    const unknown = letters.find((letter) => !Object.hasOwn(measures, letter))
    if (unknown !== undefined) usage(`no measurement "${unknown}"`)
    if (!/^[1-9]\d{0,2}$|^1000$/.test(rounds)) usage(`rounds: 1 to 1000, not "${rounds}"`)
    return { letters, rounds: Number(rounds), help: asked ?? false }
  } catch (error) {
    return usage((error as Error).message)
  }
}

const options = readOptions()
if (options.help) {
  process.stdout.write(help)
  process.exit()
}

const progress = (text: string) => {
  process.stderr.write(`bench: ${text}\n`)
}
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    stopping.abort(new Error(signal))
  })

const isRoot = process.geteuid?.() === 0
const sections: Section[] = []
try {
  for (const letter of options.letters) {
    const { measure, needsRoot } = measures[letter] ?? usage(letter)
    if (needsRoot && !isRoot) {
      progress(`${letter} needs root and is left out`)
      continue
    }
    if (!isRoot) progress(`${letter}: not root, so this is the memory driver`)
    stopping.signal.throwIfAborted()
    // A fresh daemon for each, so that none pays for what the one before has left in the heap.
    const daemon = await TestDaemon.start(isRoot ? 'namespaces' : 'memory')
    try {
      sections.push(await measure({ daemon, rounds: options.rounds, stop: stopping.signal, progress }))
    } finally {
      await daemon.cleanUp()
    }
  }
} catch (error) {
  if (!stopping.signal.aborted) throw error
  progress('stopped; everything is removed')
  process.exit(EXIT_SIGNALLED)
}
process.stdout.write(`${table(sections)}\n`)
process.exit(isMissed(sections) ? EXIT_MISSED : 0)

/** `contextd audit verify FILE…`. */
import { parseArgs } from 'node:util'
import { UsageError } from '../usage-error.js'
import type { Head } from './record.js'
import { verify, type Verdict } from './verify.js'

const help = `Usage: contextd audit verify [--anchor SEQ:SHA256]... FILE...

Proves that the lines of an audit log are those that were written, in their order: give all its files, rotated ones
too, in any order; files ending in .gz are uncompressed. Prints the number and SHA-256 of the last line. Keep that
elsewhere and give it as --anchor next time: a chain alone cannot show that lines were cut off its end, or that
somebody wrote all of it anew.

  --anchor SEQ:SHA256  a line that must be there
  --help               this text

Exit codes: 0 the chain is whole; 1 it is not, and the first bad line is named; 2 bad usage, or a file that cannot be
read.
`

const EXIT_BROKEN = 1
const EXIT_UNREADABLE = 2

/** Between two reports of progress, milliseconds. */
const PROGRESS_MS = 1000

export async function audit([name, ...args]: string[]): Promise<void> {
  if (name === '--help') {
    process.stdout.write(help)
    return
  }
  if (name !== 'verify')
    throw new UsageError(name === undefined ? 'audit: verify?' : `audit: unknown command "${name}"`)
  let parsed
  try {
    const options = { anchor: { type: 'string', multiple: true }, help: { type: 'boolean' } } as const
    parsed = parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { values, positionals: paths } = parsed
  if (values.help) {
    process.stdout.write(help)
    return
  }
  if (paths.length === 0) throw new UsageError('audit verify: which files?')
  const anchors = (values.anchor ?? []).map(anchor)
  try {
    const verdict = await verify(paths, { anchors, ...(process.stderr.isTTY && { onProgress: progress() }) })
    process.stdout.write(report(verdict))
    if (verdict.faults.length > 0) process.exitCode = EXIT_BROKEN
  } catch (error) {
    process.stderr.write(`contextd: audit verify: ${(error as Error).message}\n`)
    process.exitCode = EXIT_UNREADABLE
  }
}

function anchor(text: string): Head {
  const [, seq, sha256] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (seq === undefined || sha256 === undefined)
    throw new UsageError(`audit verify: "${text}" is no SEQ:SHA256, such as the last line of an earlier report`)
  return { seq: Number(seq), sha256 }
}

function progress(): (path: string, lines: number) => void {
  let last = Date.now()
  return (path, lines) => {
    if (Date.now() - last < PROGRESS_MS) return
    last = Date.now()
    process.stderr.write(`${path}: ${lines} lines\n`)
  }
}

function report({ files, lines, last, notes, faults }: Verdict): string {
  const rows = [
    ...files.map(
      (file) => `${file.path}: ${file.lines} lines${file.first === null ? '' : `, ${file.first} to ${file.last}`}`
    ),
    ...notes.map((note) => `note: ${note}`),
    ...faults.map((fault) => `BAD: ${fault}`),
    faults.length > 0 ? 'not whole' : `whole: ${lines} lines`,
    ...(last ? [`last: ${last.seq}:${last.sha256}`] : [])
  ]
  return `${rows.join('\n')}\n`
}

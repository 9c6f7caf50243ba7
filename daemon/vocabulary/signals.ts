import { canonicalName, quote, unknownName, VocabularyError } from './names.js'

export interface Signal {
  readonly name: string
  readonly number: number
  /** What it does to a process that neither handles nor ignores it, in the terms of signal(7). */
  readonly action: 'Term' | 'Core' | 'Ign' | 'Stop' | 'Cont'
  readonly meaning: string
  readonly source: string
}

/** glibc's SIGRTMIN: its threads keep 32 and 33 for themselves. */
const RTMIN = 34
const RTMAX = 64

const standard = (number: number, name: string, action: Signal['action'], meaning: string): Signal => ({
  name: `SIG${name}`,
  number,
  action,
  meaning,
  source: 'signal(7)'
})

const standardSignals: readonly Signal[] = [
  standard(1, 'HUP', 'Term', 'Hangup of controlling terminal or death of controlling process'),
  standard(2, 'INT', 'Term', 'Interrupt from keyboard'),
  standard(3, 'QUIT', 'Core', 'Quit from keyboard'),
  standard(4, 'ILL', 'Core', 'Illegal instruction'),
  standard(5, 'TRAP', 'Core', 'Trace/breakpoint trap'),
  standard(6, 'ABRT', 'Core', 'Abort signal from abort(3)'),
  standard(7, 'BUS', 'Core', 'Bus error (bad memory access)'),
  standard(8, 'FPE', 'Core', 'Floating-point exception'),
  standard(9, 'KILL', 'Term', 'Kill signal'),
  standard(10, 'USR1', 'Term', 'User-defined signal 1'),
  standard(11, 'SEGV', 'Core', 'Invalid memory reference'),
  standard(12, 'USR2', 'Term', 'User-defined signal 2'),
  standard(13, 'PIPE', 'Term', 'Write to pipe with no readers'),
  standard(14, 'ALRM', 'Term', 'Timer signal from alarm(2)'),
  standard(15, 'TERM', 'Term', 'Termination signal'),
  standard(16, 'STKFLT', 'Term', 'Stack fault on coprocessor (unused)'),
  standard(17, 'CHLD', 'Ign', 'Child stopped or terminated'),
  standard(18, 'CONT', 'Cont', 'Continue if stopped'),
  standard(19, 'STOP', 'Stop', 'Stop process'),
  standard(20, 'TSTP', 'Stop', 'Stop typed at terminal'),
  standard(21, 'TTIN', 'Stop', 'Terminal input for background process'),
  standard(22, 'TTOU', 'Stop', 'Terminal output for background process'),
  standard(23, 'URG', 'Ign', 'Urgent condition on socket'),
  standard(24, 'XCPU', 'Core', 'CPU time limit exceeded'),
  standard(25, 'XFSZ', 'Core', 'File size limit exceeded'),
  standard(26, 'VTALRM', 'Term', 'Virtual alarm clock'),
  standard(27, 'PROF', 'Term', 'Profiling timer expired'),
  standard(28, 'WINCH', 'Ign', 'Window resize signal'),
  standard(29, 'IO', 'Term', 'I/O now possible'),
  standard(30, 'PWR', 'Term', 'Power failure'),
  standard(31, 'SYS', 'Core', 'Bad system call')
]

const realTimeNumbers = Array.from({ length: RTMAX - RTMIN + 1 }, (_, n) => RTMIN + n)

const offset = (n: number) => (n === 0 ? '' : `${n > 0 ? '+' : ''}${n}`)
const fromMin = (number: number) => `RTMIN${offset(number - RTMIN)}`
const fromMax = (number: number) => `RTMAX${offset(number - RTMAX)}`

/** The signals that have a name, in the order of their numbers: x86, ARM and every other generic Linux ABI. */
export const signals: readonly Signal[] = [
  ...standardSignals,
  ...realTimeNumbers.map((number) => ({
    // Counted from the nearer end, as kill -l shows them.
    name: `SIG${number - RTMIN <= RTMAX - number ? fromMin(number) : fromMax(number)}`,
    number,
    action: 'Term' as const,
    meaning: 'Real-time signal, without a meaning of its own',
    source: 'signal(7)'
  }))
]

const ending = new Set([
  ...signals.filter(({ action }) => action === 'Term' || action === 'Core').map(({ number }) => number),
  32, // nameless, but to the kernel real-time signals like the others
  33
])

const nameOf = new Map(signals.map(({ name, number }) => [number, name]))

const numberOf = new Map<string, number>([
  ...standardSignals.map(({ name, number }) => [name.slice('SIG'.length), number] as const),
  ...realTimeNumbers.flatMap((number) => [[fromMin(number), number] as const, [fromMax(number), number] as const]),
  ['IOT', 6],
  ['CLD', 17],
  ['POLL', 29]
])

export const SIGHUP = 1
export const SIGINT = 2
export const SIGKILL = 9

/**
 * The number of a signal: a name with or without SIG in any case, or a number 0..64 as such or as decimal text. 0 only
 * probes (kill(2)). SIGRTMIN+n and SIGRTMAX-n count from 34 and 64. Anything else is a VocabularyError.
 */
export function parseSignal(value: string | number): number {
  if (typeof value === 'string' && !/^\d+$/.test(value)) return parseName(value)
  const number = Number(value)
  if (!Number.isInteger(number) || number < 0 || number > RTMAX) {
    throw new VocabularyError(`bad signal ${quote(String(value))}, expected a name or a number from 0 to ${RTMAX}`)
  }
  return number
}

function parseName(text: string): number {
  const canonical = canonicalName(text, 'SIG')
  const number = canonical === undefined ? undefined : numberOf.get(canonical)
  if (number === undefined) throw unknownName('signal', text, canonical, numberOf.keys())
  return number
}

/** The name with SIG, as SIGTERM; decimal text for a number without a name (0, 32, 33 and whatever is no signal). */
export function signalName(n: number): string {
  return nameOf.get(n) ?? String(n)
}

/** Whether the signal ends a process that neither handles nor ignores it. 0 is no signal and ends nothing. */
export function endsByDefault(n: number): boolean {
  return ending.has(n)
}

import { constants } from 'node:os'
import t from 'tap'
import { endsByDefault, parseSignal, SIGINT, SIGKILL, signalName, signals } from '../../daemon/vocabulary/signals.js'
import { VocabularyError } from '../../daemon/vocabulary/word.js'

// signal(7), column x86/ARM.
const numbers: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31
}

void t.test('the 31 standard signals have their x86 and ARM numbers', async (t) => {
  const standard = signals.filter(({ number }) => number < 32)
  t.strictSame(Object.fromEntries(standard.map(({ name, number }) => [name, number])), numbers)
  t.strictSame(
    signals.map(({ number }) => number),
    [...Array.from({ length: 31 }, (_, n) => n + 1), ...Array.from({ length: 31 }, (_, n) => n + 34)]
  )
})

void t.test('the kernel that runs this test agrees', { skip: process.platform !== 'linux' }, async (t) => {
  for (const [name, number] of Object.entries(constants.signals)) t.equal(parseSignal(name), number, name)
})

void t.test('a signal is read by name with or without SIG in any case, by number, and by decimal text', async (t) => {
  for (const value of ['SIGTERM', 'TERM', 'term', 'SigTerm', 15, '15']) t.equal(parseSignal(value), 15, String(value))
  for (const [name, number] of Object.entries(numbers)) {
    t.equal(parseSignal(name), number)
    t.equal(parseSignal(name.slice(3).toLowerCase()), number)
  }
})

void t.test('0 probes and 64 is the last', async (t) => {
  t.equal(parseSignal(0), 0)
  t.equal(parseSignal('0'), 0)
  t.equal(parseSignal(64), 64)
  t.equal(parseSignal('64'), 64)
})

void t.test('older names are read as the signals they became', async (t) => {
  t.equal(parseSignal('SIGIOT'), 6)
  t.equal(parseSignal('SIGCLD'), 17)
  t.equal(parseSignal('poll'), 29)
  t.equal(signalName(6), 'SIGABRT')
  t.equal(signalName(29), 'SIGIO')
})

void t.test('real-time signals count from both ends', async (t) => {
  const cases: [string, number][] = [
    ['SIGRTMIN', 34],
    ['SIGRTMIN+1', 35],
    ['rtmin+3', 37],
    ['SIGRTMIN+30', 64],
    ['SIGRTMAX', 64],
    ['RTMAX-1', 63],
    ['SIGRTMAX-14', 50],
    ['SIGRTMAX-30', 34]
  ]
  for (const [name, number] of cases) t.equal(parseSignal(name), number, name)
  t.equal(signalName(34), 'SIGRTMIN')
  t.equal(signalName(49), 'SIGRTMIN+15')
  t.equal(signalName(50), 'SIGRTMAX-14')
  t.equal(signalName(64), 'SIGRTMAX')
  for (const name of ['SIGRTMIN+31', 'SIGRTMIN-1', 'SIGRTMAX+1', 'SIGRTMAX-31', 'RTMIN+', 'RTMIN+1.5']) {
    t.throws(() => parseSignal(name), VocabularyError, name)
  }
})

void t.test('what signalName writes, parseSignal reads, 0 to 64', async (t) => {
  for (let number = 0; number <= 64; number++) t.equal(parseSignal(signalName(number)), number)
  t.equal(signalName(0), '0')
  t.equal(signalName(32), '32')
})

void t.test('anything else is no signal', async (t) => {
  for (const value of [
    65,
    -1,
    1.5,
    NaN,
    Infinity,
    '65',
    '-1',
    '1.5',
    '0x9',
    '1e1',
    ' 9',
    '',
    'SIG',
    'SIGFOO',
    '9'.repeat(400)
  ]) {
    t.throws(() => parseSignal(value), VocabularyError, String(value).slice(0, 20))
  }
  t.throws(() => parseSignal('\u017figterm'), VocabularyError)
  t.throws(() => parseSignal('SIGTREM'), { message: 'unknown signal "SIGTREM", did you mean TERM?' })
  t.throws(() => parseSignal('SIGFOO'), { message: /^unknown signal "SIGFOO"$/ })
  t.throws(() => parseSignal(65), { message: 'bad signal "65", expected a name or a number from 0 to 64' })
})

void t.test('a signal ends a process by default, but for those that stop it, continue it or are ignored', async (t) => {
  const kept = ['CHLD', 'CONT', 'STOP', 'TSTP', 'TTIN', 'TTOU', 'URG', 'WINCH'].map(parseSignal)
  for (let number = 1; number <= 64; number++)
    t.equal(endsByDefault(number), !kept.includes(number), signalName(number))
  t.equal(endsByDefault(0), false)
  t.equal(endsByDefault(65), false)
  t.equal(SIGINT, 2)
  t.equal(SIGKILL, 9)
})

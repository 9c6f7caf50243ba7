/** A datagram socket that takes what journald would. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { until } from './poll.js'

/** Prints each datagram in hexadecimal digits. */
const listener = `use Socket; $| = 1;
my ($s, $data);
socket($s, PF_UNIX, SOCK_DGRAM, 0) && bind($s, pack_sockaddr_un($ARGV[0])) or die $!;
print "bound\\n";
print unpack("H*", $data), "\\n" while defined recv($s, $data, 262144, 0)`

export type Entry = Record<string, string>

/** As systemd.io/JOURNAL_NATIVE_PROTOCOL says: NAME=VALUE, or NAME, the size as 64 bits, VALUE; a line each. */
function parse(data: Buffer): Entry {
  const entry: Entry = {}
  for (let at = 0; at < data.length;) {
    const end = data.indexOf(10, at)
    if (end < 0) throw new Error('a field without an end')
    const equals = data.subarray(at, end).indexOf('=')
    const name = data.toString('latin1', at, equals < 0 ? end : at + equals)
    const size = equals < 0 ? Number(data.readBigUInt64LE(end + 1)) : end - at - equals - 1
    const start = equals < 0 ? end + 9 : at + equals + 1
    if (data[start + size] !== 10) throw new Error(`${name} has no end`)
    if (name in entry) throw new Error(`${name} is there twice`)
    entry[name] = data.toString('latin1', start, start + size)
    at = start + size + 1
  }
  return entry
}

export class FakeJournal {
  #child: ChildProcess | undefined
  #text = ''

  constructor(readonly socket: string) {}

  async start(): Promise<void> {
    const child = spawn('perl', ['-e', listener, this.socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    this.#text = ''
    child.stdout.setEncoding('latin1').on('data', (text: string) => (this.#text += text))
    await until('it listens', () => this.#text.startsWith('bound\n'))
  }

  /** Ends it; its socket is gone. */
  async stop(): Promise<void> {
    const child = this.#child
    if (child?.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    rmSync(this.socket)
  }

  /** It reads no more, until SIGCONT. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  /** Since its last start. */
  get entries(): Entry[] {
    const lines = this.#text.split('\n').slice(1, -1)
    return lines.map((line) => parse(Buffer.from(line, 'hex')))
  }

  messages = () => this.entries.map(({ MESSAGE = '' }) => MESSAGE)

  has = (message: string) => until(`the message ${message}`, () => this.messages().includes(message))
}

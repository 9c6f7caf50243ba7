/** The daemon's own log, on standard error: JSON lines, readable ones on a terminal, with priorities in the journal. */
import { fstatSync } from 'node:fs'
import { isatty } from 'node:tty'
import { pino, type DestinationStream, type Logger } from 'pino'

const STDERR = 2
/** What waits for a reader that does not read; lines beyond are lost, and the daemon goes on. Bytes. */
const BUFFER_MAX = 4 * 1024 * 1024

/** syslog(3) priorities, which the journal takes from the beginning of a line (sd-daemon(3)). */
const priorities: Record<string, number> = { trace: 7, debug: 7, info: 6, warn: 4, error: 3, fatal: 2 }

/** @param level a pino level; `silent` logs nothing */
export async function openLogger(level: string, env: NodeJS.ProcessEnv): Promise<Logger> {
  const options = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name: string) => ({ level: name }) }
  }
  if (isatty(STDERR)) {
    const { PinoPretty } = await import('pino-pretty')
    return pino(options, PinoPretty({ destination: STDERR, sync: true, ignore: 'pid,hostname' }))
  }
  // Off the event loop: a reader that is stuck stops no request.
  const lines = pino.destination({ dest: STDERR, sync: false, maxLength: BUFFER_MAX })
  process.on('exit', () => {
    lines.flushSync()
  })
  return pino(options, isJournal(env) ? withPriorities(lines) : lines)
}

/** $JOURNAL_STREAM has device and inode of what systemd has connected us to (systemd.exec(5)). */
function isJournal({ JOURNAL_STREAM: stream }: NodeJS.ProcessEnv): boolean {
  const { dev, ino } = fstatSync(STDERR)
  return stream === `${dev}:${ino}`
}

function withPriorities(lines: DestinationStream): DestinationStream {
  const stream = {
    // Has pino say, before each write, which level it is of.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(line: string) {
      lines.write(`<${priorities[pino.levels.labels[stream.lastLevel] ?? ''] ?? 6}>${line}`)
    }
  }
  return stream
}

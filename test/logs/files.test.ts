/** What is kept of the logs of dead contexts. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { exactTime } from '../../daemon/vocabulary/time.js'
import { LogFiles } from '../../daemon/logs/files.js'

function filesIn(t: Test): { directory: string; logs: LogFiles } {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-logs-'))
  const logs = new LogFiles({ directory, size: 65_536, count: 2, tryLock: () => true })
  t.teardown(() => {
    logs.close()
    rmSync(directory, { recursive: true })
  })
  return { directory, logs }
}

/** A log of so many bytes, which take no room, last written to at this second. */
function write(directory: string, xid: number, bytes: number, second: number): void {
  writeFileSync(join(directory, `.${xid}`), 'owner')
  for (const name of [`${xid}.log`, `${xid}.log.1`]) {
    const path = join(directory, name)
    writeFileSync(path, '')
    truncateSync(path, bytes / 2)
    utimesSync(path, second, second)
  }
}

const MIB = 1 << 20

void t.test('over a gigabyte of dead logs, those go that were written to longest ago', async (t) => {
  const { directory, logs } = filesIn(t)
  write(directory, 100, 600 * MIB, 1000)
  write(directory, 101, 600 * MIB, 3000)
  write(directory, 102, 300 * MIB, 2000)
  write(directory, 103, 900 * MIB, 500)
  await logs.sweep((xid) => xid === 103)
  t.same(
    readdirSync(directory).filter((name) => name.endsWith('.log')),
    ['101.log', '102.log', '103.log']
  )
  t.notOk(existsSync(join(directory, '.100')) || existsSync(join(directory, '100.log.1')), 'nothing of it is left')
})

void t.test('of more than a thousand dead logs the oldest go, however small', async (t) => {
  const { directory, logs } = filesIn(t)
  for (let xid = 2; xid < 1012; xid++) write(directory, xid, 0, xid)
  await logs.sweep(() => false)
  const left = readdirSync(directory).filter((name) => name.endsWith('.log'))
  t.equal(left.length, 1000)
  t.notOk(left.includes('11.log'))
  t.ok(left.includes('12.log'))
})

void t.test('a directory that another daemon uses, or that cannot be made, is refused', (t) => {
  const { directory } = filesIn(t)
  const open = (path: string, tryLock: () => boolean) =>
    new LogFiles({ directory: path, size: 65_536, count: 2, tryLock })
  t.throws(() => open(directory, () => false), { code: 'EAGAIN', message: /--log-dir/ })
  t.throws(() => open('/dev/null/logs', () => true), { code: 'ENOTDIR', call: 'mkdir', message: /\/dev\/null/ })
  t.end()
})

const OWNER = { xid: 100, incarnation: 7n }
const line = (time: string, text: string) => `${time} stdout F ${text}\n`
const at = (nanoseconds: number) => `2026-01-01T00:00:00.${String(nanoseconds).padStart(9, '0')}Z`

/** A log as launchers write it. */
function logIn(directory: string, ...lines: string[]): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  writeFileSync(join(directory, '.100'), `${boot} 7`)
  const path = join(directory, '100.log')
  writeFileSync(path, lines.join(''))
  return path
}

async function read(logs: LogFiles, query: object, isThere = () => true, signal = new AbortController().signal) {
  const parts: Buffer[] = []
  for await (const part of logs.read(OWNER, query, { isThere, signal })) parts.push(part)
  return Buffer.concat(parts).toString()
}

void t.test('since is a time to the nanosecond, whose own line is in it', async (t) => {
  const { directory, logs } = filesIn(t)
  const lines = [1, 500_000_000, 500_000_001, 500_000_002].map((time) => line(at(time), String(time)))
  logIn(directory, ...lines)
  const since = (text: string) => read(logs, { since: exactTime(text) })
  t.equal(await since(at(500_000_001)), lines.slice(2).join(''))
  t.equal(await since('2026-01-01T00:00:00.5Z'), lines.slice(1).join(''))
  t.equal(await since('2026-01-01T01:00:00.500000002+01:00'), lines.slice(3).join(''))
  t.equal(await since('2026-01-01T00:00:00Z'), lines.join(''))
  t.equal(exactTime('2026-06-30T23:59:60Z'), undefined, 'a leap second is no time of a log')
})

void t.test('a follower goes on at the end of a log, and looks again when its context is gone', async (t) => {
  const { directory, logs } = filesIn(t)
  const path = logIn(directory, line(at(1), 'first'))
  let looks = 0
  const text = await read(logs, { follow: true }, () => {
    looks++
    if (looks === 3) appendFileSync(path, line(at(2), 'while it is there'))
    // What its launcher has yet to write when its end is told of.
    if (looks === 7) appendFileSync(path, line(at(3), 'at its end'))
    return looks < 5
  })
  t.equal(text, [line(at(1), 'first'), line(at(2), 'while it is there'), line(at(3), 'at its end')].join(''))
})

/** What is kept of the logs of dead contexts. */
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
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

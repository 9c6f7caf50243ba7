/** Rotation: a renamed file and SIGHUP, as logrotate does it. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const recordsOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { seq: number; xid: number })

void t.test('rotated again and again under load, no line is lost and the chain is whole', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  let [isOver, writes] = [false, 1]
  const clients = Array.from({ length: 4 }, async (_, client) => {
    for (let round = 0; !isOver; round++) {
      t.equal((await daemon.patch('/contexts/100/uname', { nodename: `n${client}-${round}` })).status, 200)
      writes++
    }
  })
  const rotated: string[] = []
  for (let round = 1; round <= 5; round++) {
    const begun = writes
    await until('some lines', () => writes > begun + 20)
    const path = `${daemon.auditLog}.${round}`
    renameSync(daemon.auditLog, path)
    if (round % 2) writeFileSync(daemon.auditLog, '', { mode: 0o640 }) // as with logrotate's create
    process.kill(daemon.pid, 'SIGHUP')
    await until('the new file is in use', () => existsSync(daemon.auditLog) && readFileSync(daemon.auditLog).length > 0)
    rotated.push(path)
  }
  isOver = true
  await Promise.all(clients)
  const files = [...rotated, daemon.auditLog]
  t.equal(files.flatMap(recordsOf).length, writes)
  const { code, stdout } = await contextd(['audit', 'verify', ...files])
  t.equal(code, 0, stdout)
  t.match(stdout, `whole: ${writes} lines`)
})

void t.test('the chain goes on in a new file over a restart, too', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  await daemon.stop()
  renameSync(daemon.auditLog, `${daemon.auditLog}.1`)
  await daemon.boot()
  await daemon.post('/contexts', { xid: 101 })
  matches(t, recordsOf(daemon.auditLog), [{ seq: 2, xid: 101 }])
  t.match(await contextd(['audit', 'verify', daemon.auditLog, `${daemon.auditLog}.1`]), { code: 0 })
})

void t.test('SIGHUP without a rotation changes nothing', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  process.kill(daemon.pid, 'SIGHUP')
  await until('it has reloaded', () => daemon.stderr.includes('reloaded'))
  await daemon.post('/contexts', { xid: 101 })
  matches(t, daemon.audit(), [{ seq: 1 }, { seq: 2 }])
})

void t.test('a new file that cannot be opened leaves the old one in use, and is logged', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  renameSync(daemon.auditLog, `${daemon.auditLog}.1`)
  mkdirSync(daemon.auditLog)
  process.kill(daemon.pid, 'SIGHUP')
  await until('it is logged', () => daemon.stderr.includes('audit log is not reloaded'))
  t.equal((await daemon.post('/contexts', { xid: 101 })).status, 201)
  matches(t, recordsOf(`${daemon.auditLog}.1`), [{ xid: 100 }, { xid: 101 }])
})

void t.test('a file that was removed or truncated is made again, and the verifier sees the jump', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  rmSync(daemon.auditLog)
  t.equal((await daemon.post('/contexts', { xid: 101 })).status, 201)
  matches(t, daemon.audit(), [{ seq: 2, xid: 101 }])
  writeFileSync(daemon.auditLog, '')
  t.equal((await daemon.post('/contexts', { xid: 102 })).status, 201)
  matches(t, daemon.audit(), [{ seq: 3, xid: 102 }])
  t.match(daemon.stderr, /was removed or truncated/)
  t.match(await contextd(['audit', 'verify', daemon.auditLog]), { code: 0, stdout: /begins with line 3/ })
})

/** Crashes: what a killed daemon was doing is told, and the chain goes on. */
import { appendFileSync, copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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

const verify = (daemon: TestDaemon) => contextd(['audit', 'verify', daemon.auditLog])

void t.test('a write that was under way when the daemon was killed is a line of the next one', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100, flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
  const path = '/contexts/100?grace=1000&signal=SIGCONT'
  const hanging = daemon.delete(path).catch(() => undefined)
  const pending = join(daemon.directory, '.audit.log.pending')
  await until('it is begun', () => readFileSync(pending, 'utf8').includes('SIGCONT'))
  await daemon.stop('SIGKILL')
  await hanging
  const before = daemon.audit().length
  await daemon.boot()
  matches(t, daemon.audit().slice(before), [
    {
      event: 'interrupted',
      action: 'destroy',
      method: 'DELETE',
      path,
      xid: 100,
      caller: { uid: process.getuid?.(), pid: process.pid, executable: process.execPath },
      begun: /^20.*Z$/
    }
  ])
  t.notMatch(readFileSync(pending, 'utf8'), /SIGCONT/)
  t.match(await verify(daemon), { code: 0, stdout: /the daemon was killed during a DELETE of \/contexts\/100/ })
  await daemon.stop('SIGKILL')
  await daemon.boot()
  t.equal(daemon.audit().length, before + 1, 'and told once')
})

void t.test('killed again and again under load, it has a line for every write that was answered', async (t) => {
  const daemon = await started(t)
  const answered: number[] = []
  let xid = 1000
  for (let round = 0; round < 2; round++) {
    const clients = Array.from({ length: 4 }, async () => {
      for (;;) {
        const own = xid++
        const reply = await daemon.post('/contexts', { xid: own })
        if (reply.status === 201) answered.push(own)
      }
    }).map((client) => client.catch(() => undefined))
    const goal = answered.length + 50
    await until('some are answered', () => answered.length > goal)
    await daemon.stop('SIGKILL')
    await Promise.all(clients)
    await daemon.boot()
  }
  const records = daemon.audit() as { status: number; xid: number }[]
  const lines = new Set(records.filter(({ status }) => status === 201).map(({ xid: own }) => own))
  t.same(
    answered.filter((own) => !lines.has(own)),
    []
  )
  const { code, stdout } = await verify(daemon)
  t.equal(code, 0, stdout)
})

void t.test(
  'a torn last line is closed off with its bytes, and the chain goes on from the last whole line',
  async (t) => {
    const daemon = await started(t)
    await daemon.post('/contexts', { xid: 100 })
    await daemon.stop('SIGKILL')
    const torn = '{"seq":2,"prev":"0123'
    appendFileSync(daemon.auditLog, torn)
    t.match(await verify(daemon), { code: 1, stdout: /audit\.log:2: the line is not whole: 21 bytes/ })
    await daemon.boot()
    await daemon.post('/contexts', { xid: 101 })
    matches(t, daemon.audit(), [
      { seq: 1, xid: 100 },
      { seq: 2, event: 'torn', bytes: 21, base64: Buffer.from(torn).toString('base64') },
      { seq: 3, xid: 101 }
    ])
    t.match(await verify(daemon), { code: 0, stdout: /note: .*audit\.log:2: a crash left 21 bytes/ })
  }
)

void t.test('zeros after the last line, as a power loss leaves them, are closed off too', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  await daemon.stop('SIGKILL')
  appendFileSync(daemon.auditLog, Buffer.alloc(300_000))
  await daemon.boot()
  await daemon.post('/contexts', { xid: 101 })
  matches(t, daemon.audit(), [{ xid: 100 }, { event: 'torn', bytes: 300_000 }, { xid: 101 }])
  t.match(await verify(daemon), { code: 0 })
})

void t.test('a tail that is gone at the next start is told, and its numbers are not used again', async (t) => {
  const daemon = await started(t)
  for (const xid of [100, 101, 102]) await daemon.post('/contexts', { xid })
  await daemon.stop('SIGKILL')
  const [first = ''] = readFileSync(daemon.auditLog, 'utf8').split('\n')
  truncateSync(daemon.auditLog, first.length + 1)
  await daemon.boot()
  await daemon.post('/contexts', { xid: 103 })
  matches(t, daemon.audit(), [
    { seq: 1, xid: 100 },
    { seq: 4, event: 'lost', lines: 2 },
    { seq: 5, xid: 103 }
  ])
  t.match(daemon.stderr, /the last 2 lines of the audit log were written and are gone/)
  t.match(await verify(daemon), { code: 1, stdout: /BAD: .*audit\.log:2: lines 2 to 3 were written and are gone/ })
})

void t.test('a last line that somebody has changed is told at the next start, and by the verifier', async (t) => {
  const daemon = await started(t)
  for (const xid of [100, 101]) await daemon.post('/contexts', { xid })
  await daemon.stop('SIGKILL')
  const text = readFileSync(daemon.auditLog, 'utf8')
  writeFileSync(daemon.auditLog, text.replace(/"xid":101/, '"xid":111'))
  await daemon.boot()
  await daemon.post('/contexts', { xid: 102 })
  t.match(daemon.stderr, /the last line of the audit log was changed/)
  t.match(await verify(daemon), { code: 1, stdout: /audit\.log:2: the line was changed/ })
})

void t.test('without the file beside it the log itself says where the chain goes on', async (t) => {
  const daemon = await started(t)
  await daemon.post('/contexts', { xid: 100 })
  await daemon.stop()
  rmSync(join(daemon.directory, '.audit.log.pending'))
  await daemon.boot()
  await daemon.post('/contexts', { xid: 101 })
  matches(t, daemon.audit(), [{ seq: 1 }, { seq: 2 }])
  t.match(await verify(daemon), { code: 0 })
})

void t.test('a second daemon with the same log is refused', async (t) => {
  const daemon = await started(t)
  const socket = join(daemon.directory, 'second.sock')
  const args = ['serve', '--driver', 'memory', '--socket', socket, '--audit-log', daemon.auditLog]
  t.match(await contextd(args), { code: 1, stderr: /another contextd writes the audit log/ })
  copyFileSync(daemon.auditLog, join(daemon.directory, 'copy'))
  t.equal((await daemon.post('/contexts', { xid: 100 })).status, 201)
})

/** A full disk: writes are refused and nothing is done, or they go on and the chain says what is missing. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Process } from '../../daemon/drivers/driver.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { fill, smallDisk } from './support.js'

async function daemonOn(t: Test, disk: string, args: string[] = []): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { auditLog: join(disk, 'audit.log'), args })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const verified = (t: Test, daemon: TestDaemon) =>
  contextd(['audit', 'verify', daemon.auditLog]).then(({ code, stdout }) => {
    t.equal(code, 0, stdout)
    return stdout
  })

const refused = {
  status: 503,
  headers: { 'retry-after': /^\d+$/, 'content-type': /^application\/problem\+json/ },
  body: { type: 'audit', status: 503, detail: /^nothing was done: .*ENOSPC/ }
}

void t.test(
  'refuse: on a full disk no write is done, reads go on, and writes too once there is room',
  needsRoot(),
  async (t) => {
    const disk = smallDisk(t, 1024)
    const daemon = await daemonOn(t, disk)
    await daemon.post('/contexts', { xid: 100 })
    const makeRoom = fill(disk)
    // What is reserved already is used first.
    let done = 1
    for (; (await daemon.post('/contexts', { xid: 100 + done })).status === 201; done++);
    t.ok(done < 2000)
    const before = daemon.audit().length
    for (const reply of [
      await daemon.post('/contexts', { xid: 5000 }),
      await daemon.put('/contexts/5001', {}),
      await daemon.patch('/contexts/100/flags', { set: ['INFO_PRIVATE'] }),
      await daemon.patch('/contexts/100/uname', { nodename: 'x' }),
      await daemon.post('/contexts/100/processes', { argv: ['/bin/true'] }),
      await daemon.delete('/contexts/100?grace=0')
    ])
      t.match(reply, refused)
    t.equal((await daemon.get('/contexts/5000')).status, 404)
    t.equal((await daemon.get('/contexts/5001')).status, 404)
    t.notMatch((await daemon.get('/contexts/100')).text, /INFO_PRIVATE"|"nodename":"x"/)
    t.equal(daemon.audit().length, before, 'and nothing is written')
    t.equal(daemon.stderr.match(/cannot be written/g)?.length, 1, 'the journal is told once')

    makeRoom()
    t.equal((await daemon.post('/contexts', { xid: 5000 })).status, 201)
    matches(t, daemon.audit().slice(before), [
      { event: 'gap', missing: 7, reason: 'ENOSPC', since: /^20.*Z$/ },
      { xid: 5000, status: 201 }
    ])
    await until('the journal is told', () => daemon.stderr.includes('can be written again; lines missing: 7'))
    t.match(await verified(t, daemon), /7 lines could not be written/)
  }
)

void t.test(
  'refuse: a write that was begun has its line, however full the disk is when it ends',
  needsRoot(),
  async (t) => {
    const disk = smallDisk(t, 1024)
    const daemon = await TestDaemon.start('namespaces', { auditLog: join(disk, 'audit.log') })
    t.teardown(() => daemon.cleanUp())
    await daemon.post('/contexts', { xid: 100 })
    const argv = ['/bin/sh', '-c', `exec sleep 1000 # ${'x'.repeat(20_000)}`]
    const running = Array.from({ length: 3 }, () => daemon.post('/contexts/100/processes', { argv, capture: true }))
    const sleeping = await until('they run', async () => {
      const { processes } = (await daemon.get('/contexts/100/processes')).body as { processes: Process[] }
      const pids = processes.filter(({ comm }) => comm === 'sleep').map(({ pid }) => pid)
      return pids.length === 3 && pids
    })
    fill(disk)
    for (let denied = 0; denied < 20; denied++) await daemon.delete('/contexts/999') // takes no room of theirs
    for (const pid of sleeping || []) process.kill(pid, 'SIGKILL')
    for (const reply of await Promise.all(running)) t.equal(reply.status, 200)
    const records = daemon.audit() as { path?: string; status: number }[]
    matches(
      t,
      records.filter(({ path }) => path?.endsWith('processes')),
      [{ status: 200 }, { status: 200 }, { status: 200 }]
    )
    await verified(t, daemon)
  }
)

void t.test(
  'continue: writes are done without a line, and the chain says how many are missing',
  needsRoot(),
  async (t) => {
    const disk = smallDisk(t, 1024)
    const daemon = await daemonOn(t, disk, ['--audit-failure', 'continue'])
    await daemon.post('/contexts', { xid: 100 })
    const makeRoom = fill(disk)
    let writes = 1
    for (let lines = 0; lines < daemon.audit().length; writes++) {
      lines = daemon.audit().length
      t.equal((await daemon.post('/contexts', { xid: 100 + writes })).status, 201)
    }
    t.equal((await daemon.post('/contexts', { xid: 5000 })).status, 201)
    t.equal((await daemon.delete('/contexts/5000?grace=0')).status, 204)
    makeRoom()
    t.equal((await daemon.post('/contexts', { xid: 5001 })).status, 201)
    const records = daemon.audit() as { missing: number }[]
    const [gap, last] = records.slice(-2)
    matches(
      t,
      [gap, last],
      [
        { event: 'gap', missing: 3, reason: 'ENOSPC' },
        { xid: 5001, status: 201 }
      ]
    )
    t.equal(records.length - 1 + (gap?.missing ?? 0), writes + 3, 'every write has a line or is counted')
    t.match(await verified(t, daemon), /lines could not be written/)
  }
)

void t.test('refuse: a daemon starts on a full disk, and serves reads', needsRoot(), async (t) => {
  const disk = smallDisk(t, 1024)
  const daemon = await daemonOn(t, disk)
  await daemon.post('/contexts', { xid: 100 })
  await daemon.stop()
  const makeRoom = fill(disk)
  await daemon.boot()
  t.match(await daemon.post('/contexts', { xid: 101 }), refused)
  t.equal((await daemon.get('/contexts')).status, 200)
  makeRoom()
  t.equal((await daemon.post('/contexts', { xid: 101 })).status, 201)
  await verified(t, daemon)
})

void t.test('what was reserved and not used is given back when the daemon ends', needsRoot(), async (t) => {
  const daemon = await daemonOn(t, smallDisk(t, 4096))
  await daemon.post('/contexts', { xid: 100 })
  const { blocks, size } = statSync(daemon.auditLog)
  t.ok(blocks * 512 > size + 100_000, 'room is reserved')
  await daemon.stop()
  t.ok(statSync(daemon.auditLog).blocks * 512 <= size + 4096)
  t.ok(existsSync(daemon.auditLog) && readFileSync(daemon.auditLog).length === size)
})

/** GET /audit, and denials: who may read the log, and what those who may nothing leave in it. */
import { execFileSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { START, type Head } from '../../daemon/audit/record.js'
import { contextd, curl } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { chainOf } from './support.js'

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  return daemon
}

interface Page {
  records: { seq: number }[]
  next: number | null
  last: Head
}

const pageOf = async (daemon: TestDaemon, query = '') => (await daemon.get(`/audit${query}`)).body as Page
const seqs = ({ records }: Page) => records.map(({ seq }) => seq)

void t.test('lines are read in pages, by xid, by time and beyond a number, over rotated files', async (t) => {
  const daemon = await started(t)
  matches(t, await daemon.get('/audit'), {
    status: 200,
    headers: { 'content-type': /^application\/json/ },
    body: { records: { length: 0 }, next: null, last: START }
  })
  for (const xid of [100, 101, 102]) await daemon.post('/contexts', { xid })
  renameSync(daemon.auditLog, `${daemon.auditLog}.1`)
  process.kill(daemon.pid, 'SIGHUP')
  await until('it has reloaded', () => daemon.stderr.includes('reloaded'))
  const since = new Date().toISOString()
  for (const xid of [100, 101, 102]) await daemon.delete(`/contexts/${xid}?grace=0`)

  const all = await pageOf(daemon)
  t.same(seqs(all), [1, 2, 3, 4, 5, 6])
  t.equal(all.next, null)
  const { stdout } = await contextd(['audit', 'verify', daemon.auditLog, `${daemon.auditLog}.1`])
  t.match(stdout, `last: ${all.last.seq}:${all.last.sha256}`)
  t.match(all.records[0], { xid: 100, method: 'POST', caller: { pid: process.pid }, sum: /^[0-9a-f]{64}$/ })
  t.same(seqs(await pageOf(daemon, '?xid=101')), [2, 5])
  t.same(seqs(await pageOf(daemon, `?since=${since}`)), [4, 5, 6])
  t.same(seqs(await pageOf(daemon, '?after=4')), [5, 6])
  const pages: number[][] = []
  for (let after: number | null = 0; after !== null;) {
    const body = await pageOf(daemon, `?limit=4&after=${after}`)
    pages.push(seqs(body))
    after = body.next
  }
  t.same(pages, [
    [1, 2, 3, 4],
    [5, 6]
  ])
  for (const query of [
    'xid=1',
    'limit=0',
    'limit=1001',
    'since=yesterday',
    'after=-1',
    'colour=red',
    'since=2016-12-31T23:59:60Z'
  ])
    t.match(await daemon.get(`/audit?${query}`), { status: 400, body: { type: 'validation' } }, query)
})

void t.test('the end of a big log is found without reading all of it, compressed parts are read too', async (t) => {
  const daemon = await started(t)
  await daemon.stop()
  const old = chainOf(3000)
  const current = chainOf(3000, old.head)
  writeFileSync(`${daemon.auditLog}-20260101.gz`, gzipSync(old.lines.join('')))
  writeFileSync(daemon.auditLog, current.lines.join(''))
  await daemon.boot()
  for (const after of [0, 1, 2990, 2999, 3000, 3001, 4500, 5990]) {
    const body = await pageOf(daemon, `?after=${after}&limit=20`)
    t.same(
      seqs(body),
      Array.from({ length: Math.min(20, 6000 - after) }, (_, index) => after + index + 1),
      `after ${after}`
    )
  }
  t.same(await pageOf(daemon, '?after=6000'), { records: [], next: null, last: current.head })
  let [found, pages] = [0, 0]
  for (let after: number | null = 0; after !== null; pages++) {
    const body = await pageOf(daemon, `?xid=101&limit=1000&after=${after}`)
    found += body.records.length
    after = body.next
  }
  t.equal(found, 2000)
  t.ok(pages <= 3)
})

const other = ['setpriv', '--reuid=65534', '--regid=65533', '--clear-groups', '--']

void t.test('who may not read the log is denied, and that is a line', needsRoot(), async (t) => {
  const daemon = await started(t)
  execFileSync('chmod', ['-R', 'a+rwX', daemon.directory])
  t.match(await curl(daemon.socket, 'GET', '/audit', undefined, other), {
    status: 403,
    body: { type: 'forbidden', detail: /audit/ }
  })
  matches(t, daemon.audit(), [
    {
      action: 'audit',
      method: 'GET',
      path: '/audit',
      status: 403,
      problem: 'forbidden',
      caller: { uid: 65534, gid: 65533, executable: /curl$/ },
      calls: []
    }
  ])
})

void t.test('a flood of denials is a few lines and a count, and hides nobody else', needsRoot(), async (t) => {
  const daemon = await started(t)
  execFileSync('chmod', ['-R', 'a+rwX', daemon.directory])
  const urls = Array.from({ length: 300 }, () => 'http://localhost/contexts/100')
  const args = ['-s', '-o', '/dev/null', '--unix-socket', daemon.socket, '-X', 'DELETE']
  execFileSync('setpriv', [...other.slice(1), 'curl', ...args, ...urls], { stdio: 'ignore' })
  await daemon.delete('/contexts/100')
  await daemon.stop()
  const records = daemon.audit()
  const denials = records.filter(({ status }) => status === 403)
  const counts = records.filter(({ event }) => event === 'denials')
  t.ok(denials.length >= 50 && denials.length < 150, `${denials.length} lines`)
  t.match(counts[0], { uid: 65534, peer_xid: 0, since: /Z$/, until: /Z$/ })
  t.equal(
    counts.reduce((sum: number, { count }) => sum + Number(count), denials.length),
    300,
    'each is a line or counted'
  )
  matches(
    t,
    records.filter(({ status }) => status === 404),
    [{ caller: { uid: 0 }, method: 'DELETE' }]
  )
  t.match(await contextd(['audit', 'verify', daemon.auditLog]), { code: 0 })
})

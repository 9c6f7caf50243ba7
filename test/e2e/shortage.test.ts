/** A daemon that has no descriptor left: what it cannot do now is 503, and nothing is taken for gone. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf, type Guest } from '../support/guest.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

t.setTimeout(FILE_LIMIT_MS)

const CONTEXTS = 27
const sleeping = { init: { argv: ['/bin/sleep', '1000'] } }

void t.test('namespaces', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  const guests: Guest[] = []
  for (let i = 0; i < CONTEXTS; i++) guests.push(await guestOf(t, daemon, sleeping))
  const [guest, other] = guests as [Guest, Guest]
  // PID 1 handles a signal here, so that it is looked at before it gets one.
  const { initpid } = await guest.context()
  const limit = (files: number | string) => execFileSync('prlimit', ['--pid', `${daemon.pid}`, `--nofile=${files}:`])
  const [, most = ''] = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/limits`, 'utf8')) ?? []
  t.teardown(() => limit(most))
  /** No descriptor but so many. They are numbered from the lowest free one on. */
  const leave = (free: number) => {
    const open = new Set(readdirSync(`/proc/${daemon.pid}/fd`).map(Number))
    let files = 0
    for (let left = free; left > 0 || open.has(files); files++) if (!open.has(files)) left--
    limit(files)
  }
  const processes = `${guest.path}/processes`

  for (const free of [0, 1, 2, 3, 4, 6, 8])
    await t.test(`${free} descriptors left`, async (t) => {
      // A first request takes the connection that the next ones use.
      t.equal((await daemon.get('/health')).status, 200)
      leave(free)
      const answers = {
        list: await daemon.get(processes),
        probe: await guest.kill(0, initpid),
        'a signal': await guest.kill('SIGCONT', initpid),
        'to all': await guest.kill('SIGCONT'),
        exec: await daemon.post(processes, { argv: ['/bin/true'] }),
        capture: await daemon.post(processes, { argv: ['/bin/true'], capture: true }),
        stat: await daemon.get(`${guest.path}/stat`),
        creation: await daemon.post('/contexts', { name: 'short' }),
        task: await daemon.get(`/tasks/${initpid}`)
      }
      limit(most)
      for (const [what, { status, body, text }] of Object.entries(answers)) {
        if (status < 300) t.pass(`${what}: ${status}`)
        else
          t.match(
            { status, body: body as unknown },
            { status: 503, body: { errno: /^E[MN]FILE$/ } },
            `${what}: ${text}`
          )
      }
      t.equal((await guest.context()).state, 'running')
      if (answers.creation.status === 201)
        await daemon.delete(`/contexts/${(answers.creation.body as { xid: number }).xid}`)
    })

  await t.test('a DELETE that failed can be repeated, and none hangs', async (t) => {
    const statuses: number[] = []
    for (const [free, { path }] of guests.slice(2, 10).entries()) {
      t.equal((await daemon.get('/health')).status, 200)
      leave(free)
      const reply = await daemon.delete(`${path}?grace=0`)
      limit(most)
      statuses.push(reply.status)
      if (reply.status === 204) continue
      t.match(reply, { status: 503, body: { errno: 'EMFILE' } }, reply.text)
      t.not(((await daemon.get(path)).body as { state: string }).state, 'stopping')
      t.equal((await daemon.delete(`${path}?grace=0`)).status, 204)
    }
    t.ok(statuses.includes(503), `it was short indeed: ${statuses.join()}`)
    for (const { path } of guests.slice(2, 10)) t.equal((await daemon.get(path)).status, 404)
  })

  await t.test('a signal that an init would not survive is not lost', async (t) => {
    leave(0)
    t.match(await other.kill('SIGTERM', 1), { status: 503 })
    limit(most)
    t.equal((await other.kill('SIGTERM', 1)).status, 204)
    await until('it is gone', async () => (await daemon.get(other.path)).status === 404)
  })

  await t.test('with 64 descriptors from the start on every answer is exact', async (t) => {
    limit(64)
    for (const { path } of guests.slice(10)) {
      for (const reply of [
        await daemon.get(`${path}/processes`),
        await daemon.post(`${path}/kill`, { signal: 0 }),
        await daemon.post(`${path}/processes`, { argv: ['/bin/true'] }),
        await daemon.delete(`${path}?grace=0`)
      ])
        t.ok(reply.status < 300 || reply.status === 503, `${reply.status} ${reply.text}`)
    }
    limit(most)
    for (const { path } of guests.slice(10)) {
      t.match((await daemon.delete(`${path}?grace=0`)).status, /^(204|404)$/)
      t.equal((await daemon.get(path)).status, 404)
    }
  })
})

/** How contexts live and end: vx_wait, PERSISTENT, DELETE. */
import { exitReport, init, isProblem, killReport, sleeper, type Cases } from '../support.js'

/** Ignores SIGTERM, where programs are real. */
const stubborn = ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done']

export const life: Cases = (test, api) => {
  const { daemon } = api
  const wait = (path: string, query = '') => daemon.post(`${path}/wait${query}`)

  test('fifty waiters all get the same report', async (t) => {
    const guest = await api.running(t)
    const waiting = await api.waiters(guest, 50)
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    const replies = await Promise.all(waiting)
    t.equal(replies.length, 50)
    for (const reply of replies) t.match(reply, { status: 200, body: killReport(guest.xid) })
  })

  test('a wait is 204 when the context is alive after the timeout', async (t) => {
    const guest = await api.running(t)
    const began = Date.now()
    t.match(await wait(guest.path, '?timeout=0.2'), { status: 204, text: '' })
    t.ok(Date.now() - began >= 190, 'it waited')
    t.equal((await wait(guest.path, '?timeout=0')).status, 204, 'and so can be asked without waiting')
    for (const timeout of ['-1', 'x', '86401', '1e3', ''])
      isProblem(t, await wait(guest.path, `?timeout=${timeout}`), 400, { type: 'validation' }, timeout)
  })

  test('a wait that ends in time is answered at once', async (t) => {
    const guest = await api.guest(t, init('sh', '-c', 'exit 7'))
    t.match(await wait(guest.path, '?timeout=60'), { status: 200, body: exitReport(guest.xid, 7) })
  })

  test('who waits late gets the report that is kept', async (t) => {
    const guest = await api.running(t)
    const [first] = await api.waiters(guest, 1)
    await guest.kill('SIGKILL')
    t.match(await first, { status: 200, body: killReport(guest.xid) })
    for (const query of ['', '?timeout=0', '?timeout=5'])
      t.match(await wait(guest.path, query), { status: 200, body: killReport(guest.xid) })
  })

  test('a context that is made again under the same xid is waited for anew', async (t) => {
    const xid = await api.freeXid()
    const path = `/contexts/${xid}`
    await api.create(t, { xid, ...init('sh', '-c', 'exit 3') }, '?wait')
    t.match(await wait(path), { status: 200, body: { exit_code: 3 } })
    await api.create(t, { xid, ...init(...sleeper) })
    t.equal((await wait(path, '?timeout=0.1')).status, 204)
    await daemon.post(`${path}/kill`, { signal: 'SIGKILL' })
    t.match(await wait(path), { status: 200, body: killReport(xid) })
  })

  test('a wait for an xid that never was is ESRCH', async (t) => {
    isProblem(t, await wait(`/contexts/${await api.freeXid()}`), 404, { errno: 'ESRCH' })
  })

  test('a persistent context outlasts its init, and a new one can take its place', async (t) => {
    const guest = await api.running(t, { flags: ['PERSISTENT'] })
    for (let round = 0; round < 3; round++) {
      const before = await api.initpid(guest)
      t.equal((await guest.kill('SIGKILL', 1)).status, 204)
      await guest.isEmpty()
      t.equal(await api.initpid(guest), 0)
      const pid = await guest.start(sleeper, { flags: ['SET_INIT', 'SET_REAPER'] })
      t.not(pid, before)
      t.equal(await api.initpid(guest), pid)
      t.equal((await wait(guest.path, '?timeout=0')).status, 204, 'it has not ended')
    }
  })

  test('the report of a persistent context tells how its init ended', async (t) => {
    const guest = await api.guest(t, { flags: ['PERSISTENT'], ...init('sh', '-c', 'exit 42') })
    await guest.isEmpty()
    const [waiting] = await api.waiters(guest, 1)
    t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })).status, 200)
    t.match((await waiting)?.body, exitReport(guest.xid, 42))
  })

  const clearings: [method: string, body: object][] = [
    ['PATCH', { clear: ['PERSISTENT'] }],
    ['PUT', { names: [] }]
  ]
  for (const [method, body] of clearings) {
    test(`clearing PERSISTENT on an empty context by ${method} ends it, and its xid is free at once`, async (t) => {
      const guest = await api.guest(t)
      const [waiting] = await api.waiters(guest, 1)
      t.match(await daemon.request(method, `${guest.path}/flags`, body), { status: 200, body: { changed: true } })
      isProblem(t, await daemon.get(guest.path), 404, { errno: 'ESRCH' })
      t.equal((await api.create(t, { xid: guest.xid })).status, 201, 'the xid is free')
      t.match(await waiting, { status: 200, body: { xid: guest.xid } })
    })
  }

  test('clearing PERSISTENT on a running context leaves it until its last process ends', async (t) => {
    const guest = await api.guest(t)
    const pid = await guest.start(sleeper)
    t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })).status, 200)
    t.equal((await guest.context()).state, 'running')
    await guest.kill('SIGKILL', pid)
    await api.ended(guest.xid)
  })

  test('setting PERSISTENT on a running context keeps it', async (t) => {
    const guest = await api.running(t)
    t.equal((await daemon.patch(`${guest.path}/flags`, { set: ['PERSISTENT'] })).status, 200)
    await guest.kill('SIGKILL')
    await guest.isEmpty()
  })

  test('DELETE ends a running context, which is gone when it answers; the second one is ESRCH', async (t) => {
    const guest = await api.running(t)
    await guest.start(sleeper)
    t.match(await daemon.delete(guest.path), { status: 204, text: '' })
    isProblem(t, await daemon.get(guest.path), 404, { errno: 'ESRCH' })
    isProblem(t, await daemon.delete(guest.path), 404, { errno: 'ESRCH' })
  })

  test('DELETE ends persistent contexts, empty or not', async (t) => {
    const all = [await api.guest(t), await api.running(t, { flags: ['PERSISTENT'] }), await api.guest(t)]
    await all[2]?.start(sleeper)
    for (const guest of all) {
      t.equal((await daemon.delete(guest.path)).status, 204)
      t.notOk(await api.exists(guest.xid))
    }
  })

  test('DELETE does not wait longer than the processes do', async (t) => {
    const guest = await api.guest(t)
    await guest.start(sleeper)
    const began = Date.now()
    t.equal((await daemon.delete(`${guest.path}?grace=60`)).status, 204)
    t.ok(Date.now() - began < 30_000)
  })

  test('DELETE lets what ends by itself within the grace do so', async (t) => {
    const guest = await api.guest(t, init('sleep', '1'))
    const [report] = await api.waiters(guest, 1)
    // A signal that ends nobody.
    t.equal((await daemon.delete(`${guest.path}?signal=SIGCONT&grace=300`)).status, 204)
    t.match((await report)?.body, exitReport(guest.xid, 0))
  })

  test('DELETE kills what has not ended when the grace is over', async (t) => {
    const guest = await api.guest(t, init(...stubborn))
    await guest.start(stubborn)
    t.equal((await daemon.delete(`${guest.path}?signal=SIGTERM&grace=0.2`)).status, 204)
    t.notOk(await api.exists(guest.xid))
  })

  test('DELETE sends the signal that was asked for', async (t) => {
    const guest = await api.guest(t)
    const { report } = await api.sleeping(guest)
    t.equal((await daemon.delete(`${guest.path}?signal=usr1&grace=60`)).status, 204)
    t.match(await report, { term_signal: 'SIGUSR1' })
    const other = await api.running(t)
    for (const query of ['signal=SIGNONE', 'signal=65', 'grace=-1', 'grace=x', 'force=true'])
      isProblem(t, await daemon.delete(`${other.path}?${query}`), 400, { type: 'validation' }, query)
    t.equal((await other.context()).state, 'running')
  })

  test('DELETE answers those who wait, with the same report', async (t) => {
    const guest = await api.guest(t)
    await guest.start(sleeper)
    const waiting = await api.waiters(guest, 3)
    t.equal((await daemon.delete(`${guest.path}?signal=SIGKILL`)).status, 204)
    for (const reply of await Promise.all(waiting)) t.match(reply, { status: 200, body: killReport(guest.xid) })
  })

  test('of two DELETEs at once one ends the context, and the other finds none', async (t) => {
    const guest = await api.running(t)
    const replies = await Promise.all([0, 1].map(() => daemon.delete(`${guest.path}?grace=0`)))
    t.same(replies.map(({ status }) => status).toSorted(), [204, 404])
  })
}

/** A context's first process: `init` of POST /contexts, and `?wait`. */
import type { Process } from '../../../daemon/drivers/driver.js'
import { until } from '../../support/poll.js'
import { bodyOf, exitReport, init as withInit, isProblem, killReport, sleeper, type Cases } from '../support.js'

export const init: Cases = (test, api) => {
  const { daemon } = api

  test('a context with an init runs: it has an initpid, its setup is over, it is not persistent', async (t) => {
    const guest = await api.running(t)
    const { initpid, state, flags } = await guest.context()
    t.ok(initpid > 0)
    t.equal(state, 'running')
    t.same(flags.names, ['STATE_ADMIN'], 'no guest code runs with STATE_SETUP set, and the init is there')
    t.same(
      (await guest.processes()).map(({ pid }) => pid),
      [initpid]
    )
  })

  test('an init may be in a persistent context', async (t) => {
    const { state, flags } = await (await api.running(t, { flags: ['PERSISTENT'] })).context()
    t.equal(state, 'running')
    t.same(flags.names, ['STATE_ADMIN', 'PERSISTENT'])
  })

  if (api.isEnforced('flags', 'INFO_INIT'))
    test('only an init of a distribution gets INFO_INIT without being asked for', async (t) => {
      t.notOk((await (await api.running(t)).context()).flags.names.includes('INFO_INIT'))
      const asked = await api.running(t, { flags: ['INFO_INIT'] })
      const [process] = await asked.processes()
      t.match(process, { nspid: 1, pid: await api.initpid(asked) }, 'it is PID 1 in there')
    })

  const ends: [argv: string[], code: number][] = [
    [['true'], 0],
    [['false'], 1],
    [['sh', '-c', 'exit 42'], 42]
  ]
  for (const [argv, code] of ends) {
    test(`?wait runs ${argv.join(' ')} to its end and answers exit code ${code}`, async (t) => {
      const xid = await api.freeXid()
      const reply = await api.create(t, { xid, ...withInit(...argv) }, '?wait')
      t.equal(reply.status, 200)
      t.match(reply.body, exitReport(xid, code))
      t.notOk(await api.exists(xid), 'it is gone')
    })
  }

  test('?wait answers the signal that killed the init', async (t) => {
    const xid = await api.freeXid()
    const waiting = api.create(t, { xid, ...withInit(...sleeper) }, '?wait=60')
    // Killed before its exec it would be one that could not be started.
    await until('the init runs', async () => {
      const reply = await daemon.get(`/contexts/${xid}/processes`)
      return (
        reply.status === 200 && bodyOf<{ processes: Process[] }>(reply).processes.some(({ comm }) => comm === 'sleep')
      )
    })
    t.equal((await daemon.post(`/contexts/${xid}/kill`, { pid: 1, signal: 'SIGKILL' })).status, 204)
    t.match(await waiting, { status: 200, body: killReport(xid) })
  })

  test('?wait=S answers 201 and the context when it is alive after so many seconds', async (t) => {
    const xid = await api.freeXid()
    const reply = await api.create(t, { xid, ...withInit(...sleeper) }, '?wait=0.1')
    t.match(reply, { status: 201, headers: { location: `/contexts/${xid}` }, body: { xid, state: 'running' } })
  })

  test('?wait is for a context that ends with its init: 422 for a persistent one, and nothing is made', async (t) => {
    const xid = await api.freeXid()
    for (const body of [{ xid, flags: ['PERSISTENT'], ...withInit('true') }, { xid }])
      for (const query of ['?wait', '?wait=1']) {
        isProblem(t, await api.create(t, body, query), 422, { type: 'persistent' }, query)
        t.notOk(await api.exists(xid))
      }
  })

  test('an init that cannot be executed is the errno of exec, nothing is left, and the xid is free at once', async (t) => {
    const xid = await api.freeXid()
    for (const program of ['/no/such/program', 'no-such-program']) {
      const reply = await api.create(t, { xid, ...withInit(program) })
      isProblem(t, reply, 422, { errno: 'ENOENT' }, program)
      t.match(reply.body, { call: /^exec/ })
      isProblem(t, await daemon.get(`/contexts/${xid}`), 404, { errno: 'ESRCH' }, 'nothing is left')
      t.equal((await api.create(t, { xid, ...withInit(...sleeper) })).status, 201, 'the xid is free')
      t.equal((await daemon.delete(`/contexts/${xid}?grace=0`)).status, 204)
    }
  })

  test('a creation that fails leaves nothing when it was to be persistent, nor when it was waited for', async (t) => {
    const xid = await api.freeXid()
    const body = { xid, ...withInit('/no/such/program') }
    for (const reply of [
      await api.create(t, { ...body, flags: ['PERSISTENT'] }),
      await api.create(t, body, '?wait'),
      await api.create(t, body, '?wait=5')
    ]) {
      isProblem(t, reply, 422, { errno: 'ENOENT' })
      t.notOk(await api.exists(xid))
    }
  })

  test('a context whose creation failed has never been: there is no report of its end', async (t) => {
    const xid = await api.freeXid()
    isProblem(t, await api.create(t, { xid, ...withInit('/no/such/program') }), 422, { errno: 'ENOENT' })
    isProblem(t, await daemon.post(`/contexts/${xid}/wait?timeout=0`), 404, { errno: 'ESRCH' })
  })

  test('the context ends with its init', async (t) => {
    const guest = await api.running(t)
    const [waiting] = await api.waiters(guest, 1)
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    t.match((await waiting)?.body, killReport(guest.xid))
    t.notOk(await api.exists(guest.xid))
  })

  test('many short lives at once all end with their own report', async (t) => {
    const codes = Array.from({ length: 20 }, (_, n) => n)
    const reports = await Promise.all(
      codes.map(async (code) => {
        const xid = await api.freeXid()
        const reply = await api.create(t, { xid, ...withInit('sh', '-c', `exit ${code}`) }, '?wait')
        return [reply.body as unknown, exitReport(xid, code)]
      })
    )
    for (const [report, expected] of reports) t.match(report, expected)
  })
}

/** How processes and the runs of contexts end, and that it can be asked for later. */
import { until } from '../../support/poll.js'
import { matches } from '../../support/matches.js'
import { init, isProblem, sleeper, type Cases } from '../support.js'

export const exits: Cases = (test, api) => {
  const { daemon } = api
  const ended = async (path: string, pid: number) => {
    const status = () => daemon.get(`${path}/processes/${pid}`)
    await until('its end is told of', async () => !((await status()).body as { running: boolean }).running)
    return status()
  }
  const none = { exit_code: null, term_signal: null, raw_status: null, oom_killed: null, ended_at: null }

  test('a process that runs is said to', async (t) => {
    const guest = await api.running(t)
    const pid = await guest.start(sleeper)
    for (const running of [pid, await api.initpid(guest)])
      t.strictSame((await daemon.get(`${guest.path}/processes/${running}`)).body, {
        xid: guest.xid,
        pid: running,
        running: true,
        ...none
      })
  })

  test('how a process ended is kept, by exit and by signal, also when its context is gone', async (t) => {
    const guest = await api.running(t)
    const failing = await guest.start(['sh', '-c', 'exit 3'])
    const killed = await guest.start(sleeper)
    await guest.kill('SIGTERM', killed)
    const { ended_at, ...exit } = (await ended(guest.path, failing)).body as Record<string, unknown>
    t.strictSame(exit, {
      xid: guest.xid,
      pid: failing,
      running: false,
      exit_code: 3,
      term_signal: null,
      raw_status: 3 << 8,
      oom_killed: false
    })
    t.ok(Math.abs(Date.parse(String(ended_at)) - Date.now()) < 60_000, 'it was just now')
    matches(t, (await ended(guest.path, killed)).body, { exit_code: null, term_signal: 'SIGTERM', raw_status: 15 })
    t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
    matches(t, await daemon.get(`${guest.path}/processes/${failing}`), { status: 200, body: { exit_code: 3 } })
    await api.create(t, { xid: guest.xid })
    isProblem(
      t,
      await daemon.get(`${guest.path}/processes/${failing}`),
      404,
      { errno: 'ESRCH' },
      'not for the next one'
    )
  })

  test('how a captured process and an init ended is kept too', async (t) => {
    const guest = await api.guest(t, { flags: ['PERSISTENT'], ...init(...sleeper) })
    const { pid } = await guest.capture(['false'])
    matches(t, (await ended(guest.path, pid)).body, { exit_code: 1, term_signal: null })
    const initpid = await api.initpid(guest)
    await guest.kill('SIGKILL')
    matches(t, (await ended(guest.path, initpid)).body, { exit_code: null, term_signal: 'SIGKILL' })
  })

  test('of a process that nobody knows it is 404', async (t) => {
    const guest = await api.running(t)
    isProblem(t, await daemon.get(`${guest.path}/processes/2147483647`), 404, { errno: 'ESRCH' })
    isProblem(t, await daemon.get(`/contexts/${await api.freeXid()}/processes/1`), 404, { errno: 'ESRCH' })
    for (const pid of ['0', '-1', 'x']) isProblem(t, await daemon.get(`${guest.path}/processes/${pid}`), 400)
  })

  test('a captured process says whether memory was short', async (t) => {
    const guest = await api.guest(t)
    t.strictSame((await guest.capture(['true'])).oom_killed, false)
  })

  test('a persistent context keeps how its last run ended, while the next one runs too', async (t) => {
    const guest = await api.guest(t, { flags: ['PERSISTENT'] })
    t.equal((await guest.context()).last_exit, null)
    const exited = {
      xid: guest.xid,
      reboot_cmd: null,
      exit_code: 5,
      term_signal: null,
      raw_status: 5 << 8,
      oom_killed: false
    }
    await guest.start(['sh', '-c', 'exit 5'])
    await until('it is told', async () => (await guest.context()).last_exit !== null)
    await guest.isEmpty()
    t.strictSame((await guest.context()).last_exit, exited)
    const pid = await guest.start(sleeper)
    t.strictSame((await guest.context()).last_exit, exited)
    await guest.kill('SIGTERM', pid)
    await until('it is another', async () => (await guest.context()).last_exit?.term_signal === 'SIGTERM')
  })

  test('the report of an init that a signal ended says that signal', async (t) => {
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGKILL']) {
      const guest = await api.running(t)
      const [waiting] = await api.waiters(guest, 1)
      t.equal((await guest.kill(signal, 1)).status, 204)
      matches(t, await waiting, { status: 200, body: { reboot_cmd: null, exit_code: null, term_signal: signal } })
      const all = await api.running(t)
      const [other] = await api.waiters(all, 1)
      t.equal((await all.kill(signal)).status, 204)
      matches(t, await other, { status: 200, body: { reboot_cmd: null, exit_code: null, term_signal: signal } })
    }
  })
}

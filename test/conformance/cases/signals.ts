/** vx_kill. */
import { until } from '../../support/poll.js'
import type { Guest } from '../../support/guest.js'
import { matches } from '../../support/matches.js'
import { isProblem, sleeper, type Cases } from '../support.js'

export const signals: Cases = (test, api) => {
  const { daemon } = api
  const pids = async (guest: Guest) => (await guest.processes()).map(({ pid }) => pid)
  const isLeft = (guest: Guest, ...wanted: number[]) =>
    until(`only ${wanted.join(', ')} is left`, async () => {
      const left = await pids(guest)
      return left.length === wanted.length && left.every((pid) => wanted.includes(pid))
    })

  test('pid 0, the default, is every process', async (t) => {
    const guest = await api.running(t)
    await guest.start(sleeper)
    await guest.start(sleeper)
    t.equal((await daemon.post(`${guest.path}/kill`, { signal: 'SIGKILL' })).status, 204)
    await api.ended(guest.xid)
  })

  test('pid 0 ends processes without an init too, and a persistent context is then empty', async (t) => {
    const guest = await api.guest(t)
    await guest.start(sleeper)
    await guest.start(sleeper)
    t.equal((await guest.kill('SIGTERM')).status, 204)
    await isLeft(guest)
    await guest.isEmpty()
  })

  test('pid -1 is every process but init', async (t) => {
    const guest = await api.running(t)
    const init = await api.initpid(guest)
    const others = [await guest.start(sleeper), await guest.start(sleeper)]
    t.same((await pids(guest)).toSorted(), [init, ...others].toSorted())
    t.equal((await guest.kill('SIGKILL', -1)).status, 204)
    await isLeft(guest, init)
    isProblem(t, await guest.kill('SIGKILL', -1), 404, { errno: 'ESRCH' }, 'nobody but init is left')
    t.same(await pids(guest), [init])
  })

  test('pid -1 spares what stands in for an init: it goes on to clear away what ends', async (t) => {
    const guest = await api.guest(t)
    const pid = await guest.start(sleeper)
    t.equal((await guest.kill('SIGSTOP', -1)).status, 204)
    t.equal((await guest.kill('SIGKILL', pid)).status, 204)
    await guest.isEmpty()
  })

  test('pid 1 is init', async (t) => {
    const guest = await api.running(t)
    t.equal((await guest.kill(0, 1)).status, 204)
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    await api.ended(guest.xid)
  })

  test('pid 1 is nobody where there is no init', async (t) => {
    const guest = await api.guest(t)
    const pid = await guest.start(sleeper)
    isProblem(t, await guest.kill('SIGKILL', 1), 404, { errno: 'ESRCH' })
    t.same(await pids(guest), [pid])
  })

  test('any other pid is that process and no other', async (t) => {
    const guest = await api.running(t)
    const init = await api.initpid(guest)
    const [one, two] = [await guest.start(sleeper), await guest.start(sleeper)]
    t.equal((await guest.kill('SIGTERM', one)).status, 204)
    await isLeft(guest, init, two)
    // Until it is reaped it takes signals.
    await until('it is reaped', async () => (await guest.kill('SIGTERM', one)).status !== 204)
    isProblem(t, await guest.kill('SIGTERM', one), 404, { errno: 'ESRCH' }, 'it is gone')
  })

  test('a pid that is not in the context is ESRCH: of another context, of the host, of nobody', async (t) => {
    const guest = await api.running(t)
    const other = await api.running(t)
    const [foreign] = await pids(other)
    for (const pid of [foreign ?? 0, daemon.pid, 2 ** 31 - 1])
      for (const signal of [0, 'SIGKILL'])
        isProblem(t, await guest.kill(signal, pid), 404, { errno: 'ESRCH' }, `${pid}`)
    t.same(await pids(other), [foreign])
    t.equal((await daemon.get('/health')).status, 200)
  })

  test('an empty context has nobody to signal: ESRCH', async (t) => {
    const guest = await api.guest(t)
    for (const pid of [0, -1, 1]) isProblem(t, await guest.kill('SIGTERM', pid), 404, { errno: 'ESRCH' }, `pid ${pid}`)
    await guest.start(['true'])
    await guest.isEmpty()
    for (const pid of [0, -1, 1]) isProblem(t, await guest.kill('SIGTERM', pid), 404, { errno: 'ESRCH' }, `pid ${pid}`)
  })

  test('signal 0 only asks whether there is anybody', async (t) => {
    const guest = await api.running(t)
    const pid = await guest.start(sleeper)
    for (const target of [0, -1, 1, pid]) t.equal((await guest.kill(0, target)).status, 204, `pid ${target}`)
    t.equal((await pids(guest)).length, 2)
  })

  test('signals have names in any case, with and without SIG, and numbers', async (t) => {
    const guest = await api.guest(t)
    for (const signal of ['SIGKILL', 'kill', 'Sigkill', 9, '9', 'SIGTERM', 15, 'SIGRTMIN', 'SIGRTMAX-1', 64]) {
      const pid = await guest.start(sleeper)
      t.equal((await guest.kill(signal, pid)).status, 204, `${signal}`)
      await isLeft(guest)
    }
  })

  test('a captured process tells the name of the signal that ended it', async (t) => {
    const guest = await api.guest(t)
    const named: [signal: number, name: string][] = [
      [1, 'SIGHUP'],
      [10, 'SIGUSR1'],
      [15, 'SIGTERM']
    ]
    for (const [signal, name] of named) {
      t.equal(api.vocabulary.signals[name], signal)
      const { report } = await api.sleeping(guest)
      await guest.kill(signal)
      matches(t, await report, { exit_code: null, term_signal: name })
    }
  })

  test('a signal that ends nobody by default ends nobody', async (t) => {
    const guest = await api.running(t)
    const pid = await guest.start(sleeper)
    for (const signal of ['SIGCONT', 'SIGCHLD', 'SIGWINCH', 'SIGURG']) {
      t.equal((await guest.kill(signal)).status, 204, signal)
      t.equal((await guest.kill(signal, pid)).status, 204, signal)
    }
    t.equal((await pids(guest)).length, 2)
  })

  test('what is no signal is 400, and nobody gets any', async (t) => {
    const guest = await api.running(t)
    for (const signal of [65, '65', -1])
      isProblem(t, await guest.kill(signal), 400, { type: 'validation', detail: /name or a number from 0 to 64/ })
    const bad = [65, '65', -1, 'SIGNONE', '', 'SIGRTMIN+40', 1.5, true, null]
    for (const signal of bad)
      isProblem(
        t,
        await daemon.post(`${guest.path}/kill`, { signal }),
        400,
        { type: 'validation' },
        JSON.stringify(signal)
      )
    isProblem(t, await daemon.post(`${guest.path}/kill`, {}), 400, { detail: /signal/ }, 'none')
    isProblem(t, await daemon.post(`${guest.path}/kill`, { signal: 9, pid: -2 }), 400, { detail: /pid/ }, 'pid -2')
    t.equal((await pids(guest)).length, 1)
  })
}

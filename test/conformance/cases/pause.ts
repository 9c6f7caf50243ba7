/** SCHED_PAUSE, where it is enforced. */
import type { Guest } from '../../support/guest.js'
import { matches } from '../../support/matches.js'
import { until } from '../../support/poll.js'
import { EventReader } from '../../support/sse.js'
import { init, isProblem, killReport, sleeper, type Cases } from '../support.js'

export const pause: Cases = (test, api) => {
  const { daemon } = api
  const set = (guest: Guest) => daemon.patch(`${guest.path}/flags`, { set: ['SCHED_PAUSE'] })
  const clear = (guest: Guest) => daemon.patch(`${guest.path}/flags`, { clear: ['SCHED_PAUSE'] })
  const stateOf = async (guest: Guest) => (await guest.context()).state
  if (!api.isEnforced('flags', 'SCHED_PAUSE')) {
    test('SCHED_PAUSE that is not enforced pauses nothing, and the state does not say so', async (t) => {
      const guest = await api.running(t)
      await daemon.patch(`${guest.path}/flags?unsupported=record`, { set: ['SCHED_PAUSE'] })
      t.equal(await stateOf(guest), 'running')
      t.equal((await guest.capture(['true'])).exit_code, 0)
    })
    return
  }

  test('SCHED_PAUSE stops what runs, and clearing it lets it go on', async (t) => {
    const guest = await api.guest(t)
    await guest.start(['sleep', '2'])
    t.match(await set(guest), { status: 200, body: { changed: true } })
    t.equal((await daemon.post(`${guest.path}/wait?timeout=3`)).status, 204)
    t.equal((await guest.processes()).length, 1, 'it has not come to its end')
    t.equal(await stateOf(guest), 'paused')
    await clear(guest)
    await until('it ends', async () => (await guest.processes()).length === 0)
  })

  test('the state and nr_onhold tell of a pause, and the ETag changes with it', async (t) => {
    const guest = await api.running(t)
    const before = await api.etag(guest)
    t.equal((await api.stat(guest)).nr_onhold, 0)
    await set(guest)
    t.equal(await stateOf(guest), 'paused')
    t.equal((await api.stat(guest)).nr_onhold, 1)
    t.not(await api.etag(guest), before)
    await clear(guest)
    t.equal(await stateOf(guest), 'running')
    t.equal((await api.stat(guest)).nr_onhold, 0)
    t.equal(await api.etag(guest), before)
  })

  test('nothing starts in a paused context, 409 says so at once, and afterwards it does', async (t) => {
    const guest = await api.guest(t)
    await set(guest)
    for (const more of [{}, { capture: true }, { flags: ['SET_INIT'] }]) {
      const reply = await daemon.post(`${guest.path}/processes`, { argv: ['true'], ...more })
      isProblem(t, reply, 409, { type: 'paused', detail: /SCHED_PAUSE/ }, JSON.stringify(more))
    }
    isProblem(t, await daemon.put(guest.path, init(...sleeper)), 409, { type: 'paused' }, 'PUT of an init')
    t.same(await guest.processes(), [])
    await clear(guest)
    t.equal((await guest.capture(['true'])).exit_code, 0)
  })

  test('a start and a pause at the same time: either comes first, and neither hangs', async (t) => {
    const guest = await api.guest(t)
    for (let round = 0; round < 5; round++) {
      const [started, paused] = await Promise.all([
        daemon.post(`${guest.path}/processes`, { argv: sleeper }),
        set(guest)
      ])
      t.equal(paused.status, 200)
      t.ok([201, 409, 503].includes(started.status), `${started.status}: ${started.text}`)
      t.equal((await clear(guest)).status, 200)
    }
    t.equal((await guest.capture(['true'])).exit_code, 0)
  })

  test('SIGKILL ends a paused context at once', async (t) => {
    const guest = await api.running(t)
    await guest.start(sleeper)
    await set(guest)
    t.equal((await guest.kill('SIGKILL')).status, 204)
    await api.ended(guest.xid)
    t.match((await daemon.post(`${guest.path}/wait`)).body, killReport(guest.xid))
  })

  test('SIGKILL ends one process of a paused context', async (t) => {
    const guest = await api.running(t)
    const pid = await guest.start(sleeper)
    await set(guest)
    t.equal((await guest.kill('SIGKILL', pid)).status, 204)
    await until('it is gone', async () => (await guest.processes()).length === 1)
    t.equal(await stateOf(guest), 'paused')
  })

  test('a context is created paused, its init started', async (t) => {
    const guest = await api.running(t, { flags: ['SCHED_PAUSE'] })
    t.equal(await stateOf(guest), 'paused')
    t.equal((await guest.processes()).length, 1)
    const same = await daemon.put(guest.path, { flags: ['SCHED_PAUSE'], ...init(...sleeper) })
    matches(t, same, { status: 200, body: { changed: [] } })
    const empty = await api.guest(t, { flags: ['PERSISTENT', 'SCHED_PAUSE'] })
    isProblem(t, await daemon.post(`${empty.path}/processes`, { argv: ['true'] }), 409, { type: 'paused' })
    const goesOn = await daemon.put(empty.path, { flags: [], ...init(...sleeper) })
    matches(t, goesOn, { status: 200, body: { state: 'running', changed: ['flags', 'init'] } }, 'the pause ends first')
    await empty.kill('SIGKILL')
    await api.ended(empty.xid)
  })

  for (const grace of [0, 30])
    test(`DELETE ends a paused context, grace ${grace}`, async (t) => {
      for (const body of [init(...sleeper), { flags: ['PERSISTENT'] }]) {
        const guest = await api.guest(t, body)
        await guest.start(sleeper)
        await set(guest)
        const reader = await EventReader.open(daemon.socket, `/events?xid=${guest.xid}`)
        t.teardown(() => {
          reader.close()
        })
        t.equal((await daemon.delete(`${guest.path}?grace=${grace}`)).status, 204)
        t.notOk(await api.exists(guest.xid))
        await until('its end is told', () => reader.types.includes('destroyed'))
        t.equal(reader.types.includes('resumed'), grace > 0, 'without grace it does not go on')
      }
    })
}

/** The one-time STATE_* flags, and INFO_PRIVATE. */
import type { Test } from 'tap'
import type { Guest } from '../../support/guest.js'
import { init, isProblem, sleeper, type Cases } from '../support.js'

export const state: Cases = (test, api) => {
  const { daemon } = api
  const patchFlags = (guest: Guest, body: object, query = '') => daemon.patch(`${guest.path}/flags${query}`, body)
  const mayChange = async (guest: Guest, name: string) =>
    (BigInt((await api.word(guest, 'flags')).mask) & api.bit('flags', name)) !== 0n

  for (const name of ['STATE_SETUP', 'STATE_INIT']) {
    test(`${name} can be cleared once; setting it again succeeds and changes nothing`, async (t) => {
      const guest = await api.guest(t)
      t.ok(await mayChange(guest, name), 'the mask has it')
      t.match(await patchFlags(guest, { clear: [name] }), { status: 200, body: { changed: true } })
      t.notOk(await mayChange(guest, name), 'the mask has it no more')
      t.ok(await mayChange(guest, 'PERSISTENT'), 'the mask still has others')
      const before = await guest.context()
      t.notOk(before.flags.names.includes(name))
      t.match(await patchFlags(guest, { set: [name] }), { status: 200, body: { changed: false } })
      const bit = `0x${api.bit('flags', name).toString(16)}`
      t.match(await patchFlags(guest, { value: bit, mask: bit }), { status: 200, body: { changed: false } })
      t.same(await guest.context(), before)
    })
  }

  test('a STATE_* bit that is asked for beside another change stays cleared', async (t) => {
    const guest = await api.guest(t)
    const other = 'IGNEG_NICE'
    for (const name of ['STATE_SETUP', 'STATE_INIT']) {
      await patchFlags(guest, { clear: [name, other] }, '?unsupported=record')
      const reply = await patchFlags(guest, { set: [name, other] }, '?unsupported=record')
      t.match(reply, { status: 200, body: { changed: true } })
      const { names } = await api.word(guest, 'flags')
      t.ok(names.includes(other), 'the other change is made')
      t.notOk(names.includes(name), `${name} is not set again`)
    }
  })

  test('a context whose STATE_SETUP is cleared is set up: empty instead of setup', async (t) => {
    const guest = await api.guest(t)
    t.equal((await guest.context()).state, 'setup')
    await patchFlags(guest, { clear: ['STATE_SETUP'] })
    t.equal((await guest.context()).state, 'empty')
  })

  test('the first process ends the setup, the first init STATE_INIT', async (t) => {
    const guest = await api.guest(t)
    t.equal((await guest.capture(['true'])).exit_code, 0)
    t.same((await api.word(guest, 'flags')).names, ['STATE_INIT', 'STATE_ADMIN', 'PERSISTENT'])
    await guest.start(sleeper, { flags: ['SET_INIT', 'SET_REAPER'] })
    t.same((await api.word(guest, 'flags')).names, ['STATE_ADMIN', 'PERSISTENT'])
  })

  for (const more of api.isEnforced('flags', 'INFO_PRIVATE') ? [[], ['INFO_PRIVATE']] : [[]])
    test(`an exec that fails runs no guest code, and the setup goes on ${more.join()}`, async (t) => {
      const guest = await api.guest(t, { flags: ['PERSISTENT', ...more] })
      const before = await api.word(guest, 'flags')
      for (const flags of [[], ['SET_INIT']]) {
        const reply = await daemon.post(`${guest.path}/processes`, { argv: ['/no/such/program'], flags })
        isProblem(t, reply, 422, { errno: 'ENOENT' })
        t.same(await api.word(guest, 'flags'), before)
      }
    })

  test('a start that fails beside one that succeeds brings no setup back', async (t) => {
    for (let round = 0; round < 10; round++) {
      const guest = await api.guest(t)
      const [failed, started] = await Promise.all([
        daemon.post(`${guest.path}/processes`, { argv: ['/no/such/program'] }),
        daemon.post(`${guest.path}/processes`, { argv: sleeper })
      ])
      isProblem(t, failed, 422, { errno: 'ENOENT' })
      t.equal(started.status, 201)
      t.notOk((await api.word(guest, 'flags')).names.includes('STATE_SETUP'))
      await guest.kill('SIGKILL')
    }
  })

  test('clearing STATE_ADMIN is 409 without irreversible=true, by name and by number', async (t) => {
    const guest = await api.guest(t)
    const before = await guest.context()
    const bit = `0x${api.bit('flags', 'STATE_ADMIN').toString(16)}`
    for (const body of [
      { clear: ['STATE_ADMIN'] },
      { clear: ['VXF_STATE_ADMIN', 'STATE_SETUP'] },
      { value: '0x0', mask: bit }
    ])
      for (const query of ['', '?irreversible=false', '?dry_run=true'])
        isProblem(t, await patchFlags(guest, body, query), 409, { type: 'irreversible', detail: /irreversible=true/ })
    const forecast = await patchFlags(guest, { clear: ['STATE_ADMIN'] }, '?irreversible=true&dry_run=true')
    t.match(forecast, { status: 200, body: { changed: true } })
    t.same(await guest.context(), before)
  })

  /** Nothing but its init's death ends such a context, so it is never a persistent one: no kernel could remove it. */
  const unadministrable = async (t: Test) => {
    const guest = await api.running(t)
    const reply = await patchFlags(guest, { clear: ['STATE_ADMIN'] }, '?irreversible=true')
    t.match(reply, { status: 200, body: { changed: true } })
    t.notOk((reply.body as { names: string[] }).names.includes('STATE_ADMIN'))
    t.teardown(() => guest.kill('SIGKILL', 1))
    return guest
  }

  test('without STATE_ADMIN every admin call is EACCES, and kill with pid 1 still ends the context', async (t) => {
    const guest = await unadministrable(t)
    const before = await api.word(guest, 'flags')
    const writes: [method: string, path: string, body?: object][] = [
      ['PATCH', '/flags', { set: ['PERSISTENT'] }],
      ['PUT', '/bcaps', { names: [] }],
      ['PATCH', '/ccaps?unsupported=record', { set: ['SET_UTSNAME'] }],
      ['PATCH', '/uname', { context: 'new' }],
      ['PUT', '/uname/nodename', { value: 'new' }],
      ['POST', '/processes', { argv: ['true'] }],
      ['POST', '/processes', { argv: ['true'], capture: true }],
      ['POST', '/kill', { signal: 'SIGKILL' }],
      ['POST', '/kill', { pid: -1, signal: 'SIGKILL' }],
      ['PUT', '', { name: 'new' }],
      ['DELETE', '?grace=0']
    ]
    for (const [method, path, body] of writes)
      isProblem(t, await daemon.request(method, guest.path + path, body), 403, { errno: 'EACCES' }, `${method} ${path}`)
    t.same(await api.word(guest, 'flags'), before, 'nothing has changed')
    t.same((await guest.processes()).length, 1, 'its init is alive')
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    await api.ended(guest.xid)
  })

  test('without STATE_ADMIN setting it again brings nothing back', async (t) => {
    const guest = await unadministrable(t)
    await patchFlags(guest, { set: ['STATE_ADMIN'] })
    t.notOk(await mayChange(guest, 'STATE_ADMIN'))
    t.notOk((await api.word(guest, 'flags')).names.includes('STATE_ADMIN'))
  })

  test('without STATE_ADMIN an init that is alone gets the signal that was asked for', async (t) => {
    const guest = await unadministrable(t)
    const [report] = await api.waiters(guest, 1)
    t.equal((await guest.kill('SIGUSR1', 1)).status, 204)
    t.match((await report)?.body, { term_signal: 'SIGUSR1' })
  })

  test('without STATE_ADMIN an init that is not alone gets SIGINT, whatever was asked', async (t) => {
    const guest = await api.running(t)
    await guest.start(['sleep', '5'])
    await patchFlags(guest, { clear: ['STATE_ADMIN'] }, '?irreversible=true')
    // The signal that was asked for would end nobody.
    t.equal((await guest.kill('SIGCONT', 1)).status, 204)
    await api.ended(guest.xid)
  })

  if (api.isEnforced('flags', 'INFO_PRIVATE')) {
    const cannotBeEntered = async (t: Test, guest: Guest) => {
      for (const more of [{}, { capture: true }, { flags: ['SET_INIT'] }]) {
        if ('flags' in more && (await api.initpid(guest)) !== 0) continue
        const reply = await daemon.post(`${guest.path}/processes`, { argv: ['true'], ...more })
        isProblem(t, reply, 403, { errno: 'EACCES' }, JSON.stringify(more))
      }
    }

    test('INFO_PRIVATE: once the init runs, nobody else enters', async (t) => {
      const guest = await api.guest(t, { flags: ['INFO_PRIVATE'], ...init(...sleeper) })
      await cannotBeEntered(t, guest)
      t.equal((await guest.processes()).length, 1)
    })

    test('INFO_PRIVATE: in setup the context can be entered, by one process', async (t) => {
      const guest = await api.guest(t, { flags: ['PERSISTENT', 'INFO_PRIVATE'] })
      t.equal((await guest.capture(['true'])).exit_code, 0)
      await cannotBeEntered(t, guest)
    })

    test('INFO_PRIVATE: when the setup is over the context cannot be entered, and clearing the flag opens it', async (t) => {
      const guest = await api.guest(t, { flags: ['PERSISTENT', 'INFO_PRIVATE'] })
      await patchFlags(guest, { clear: ['STATE_SETUP'] })
      await cannotBeEntered(t, guest)
      await patchFlags(guest, { clear: ['INFO_PRIVATE'] })
      t.equal((await guest.capture(['true'])).exit_code, 0)
    })

    test('INFO_PRIVATE closes a running context when it is set later', async (t) => {
      const guest = await api.running(t)
      t.match(await patchFlags(guest, { set: ['INFO_PRIVATE'] }), { status: 200 })
      await cannotBeEntered(t, guest)
      t.equal((await guest.kill('SIGKILL', 1)).status, 204, 'it can still be signalled')
      await api.ended(guest.xid)
    })
  }
}

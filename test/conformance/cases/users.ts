/** Whose a process is, its umask and resource limits: how they are said. What they do is tried in test/e2e/users.test.ts. */
import { isProblem, type Cases } from '../support.js'

export const users: Cases = (test, api) => {
  const { daemon } = api
  const run = (path: string, more: object) =>
    daemon.post(`${path}/processes`, { argv: ['true'], capture: true, ...more })

  test('a user is named, or is an id, or ids', async (t) => {
    const guest = await api.guest(t)
    const ids = { uid: 33, gid: 4, groups: [5, 6] }
    for (const user of ['root', 'root:root', '33', '33:4', 'root:4', '33:root', 33, 0, { uid: 33 }, ids])
      t.match(await run(guest.path, { user }), { status: 200, body: { exit_code: 0 } }, JSON.stringify(user))
  })

  test('a name that the guest does not have is 422 and says which and where', async (t) => {
    const guest = await api.guest(t)
    const nobody = { errno: 'ENOENT', detail: /user no-such-user .*\/etc\/passwd/ }
    const nogroup = { errno: 'ENOENT', detail: /group no-such-group .*\/etc\/group/ }
    isProblem(t, await run(guest.path, { user: 'no-such-user' }), 422, nobody)
    isProblem(t, await run(guest.path, { user: 'no-such-user:root' }), 422, nobody)
    isProblem(t, await run(guest.path, { user: 'root:no-such-group' }), 422, nogroup)
    const xid = await api.freeXid()
    isProblem(t, await daemon.put(`/contexts/${xid}`, { init: { argv: ['true'], user: 'no-such-user' } }), 422, nobody)
    t.equal((await daemon.get(`/contexts/${xid}`)).status, 404, 'nothing is left')
  })

  test('what names no user is refused', async (t) => {
    const guest = await api.guest(t)
    const bad = [
      '',
      ':',
      'a:',
      ':a',
      'a:b:c',
      'a/b',
      'a,b',
      'a\n',
      'a\0',
      'x'.repeat(33),
      '4294967295',
      -1,
      2 ** 32 - 1
    ]
    for (const user of [...bad, 1.5, null, {}, { gid: 0 }, { uid: 0, name: 'root' }])
      isProblem(t, await run(guest.path, { user }), 400, { type: 'validation' }, JSON.stringify(user))
  })

  test('a umask is octal text', async (t) => {
    const guest = await api.guest(t)
    for (const umask of ['0', '022', '0077', '777'])
      t.match(await run(guest.path, { umask }), { status: 200, body: { exit_code: 0 } }, umask)
    for (const umask of ['', '8', '1000', '00022', '-1', '0o22', 22, null])
      isProblem(t, await run(guest.path, { umask }), 400, { type: 'validation' }, JSON.stringify(umask))
  })

  test('resource limits have a soft and a hard value, which are in order', async (t) => {
    const guest = await api.guest(t)
    const nofile = { soft: 10, hard: 20 }
    const core = { soft: 0, hard: 'unlimited' }
    t.match(await run(guest.path, { rlimits: { nofile, core } }), { status: 200, body: { exit_code: 0 } })
    t.match(await run(guest.path, { rlimits: {} }), { status: 200, body: { exit_code: 0 } })
    const bad = [
      { nofile: { soft: 20, hard: 10 } },
      { nofile: { soft: 'unlimited', hard: 10 } },
      { nofile: { soft: 10 } },
      { nofile: { hard: 10 } },
      { nofile: 10 },
      { nofile: { soft: -1, hard: 10 } },
      { nofile: { soft: 1.5, hard: 10 } },
      { nofile: { soft: 1, hard: 'lots' } },
      { NOFILE: { soft: 1, hard: 2 } },
      { files: { soft: 1, hard: 2 } }
    ]
    for (const rlimits of bad)
      isProblem(t, await run(guest.path, { rlimits }), 400, { type: 'validation' }, JSON.stringify(rlimits))
  })
}

/** PUT /contexts/:xid: create, or bring to this state. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { matches } from '../../support/matches.js'
import { bodyOf, init, isProblem, sleeper, type Cases } from '../support.js'

export const convergence: Cases = (test, api) => {
  const { daemon } = api
  const changedBy = async (path: string, body: object) => {
    const reply = await daemon.put(path, body)
    return [reply.status, bodyOf<{ changed: string[] }>(reply).changed]
  }

  test('PUT creates a context that is not there, and then changes nothing', async (t) => {
    const guest = await api.guest(t)
    await daemon.delete(guest.path)
    const body = { name: 'web', bcaps: ['CHOWN', 'KILL'], uname: { nodename: 'web1' }, ...init(...sleeper) }
    const created = await daemon.put(guest.path, body)
    t.match(created, { status: 201, headers: { location: guest.path, etag: /^".+"$/ } })
    const { changed, ...context } = created.body as Record<string, unknown>
    t.same(changed, ['created'])
    t.same(await guest.context(), context, 'the answer is the context')
    for (let round = 0; round < 3; round++) t.same(await changedBy(guest.path, body), [200, []])
    t.same(await guest.context(), context, 'nothing has changed')
  })

  test('PUT changes what differs, says what, and leaves out what the body leaves out', async (t) => {
    const guest = await api.guest(t, { name: 'old', bcaps: ['CHOWN'], uname: { nodename: 'one' } })
    t.same(await changedBy(guest.path, { bcaps: ['KILL'], uname: { nodename: 'two' } }), [
      200,
      ['bcaps', 'uname.nodename']
    ])
    matches(t, await guest.context(), { name: 'old', bcaps: { names: ['KILL'] }, uname: { nodename: 'two' } })
    t.same(await changedBy(guest.path, { name: 'new' }), [200, ['uname.context']])
    matches(t, await guest.context(), { name: 'new', bcaps: { names: ['KILL'] } })
    t.same(await changedBy(guest.path, {}), [200, []])
  })

  test('PUT never restarts a running init', async (t) => {
    const guest = await api.running(t)
    const initpid = await api.initpid(guest)
    t.same(await changedBy(guest.path, init('sleep', '999')), [200, []])
    t.equal(await api.initpid(guest), initpid)
    t.equal((await guest.processes()).length, 1)
  })

  test('PUT starts the init of a context that has none, and may then end its persistence', async (t) => {
    const guest = await api.guest(t)
    t.same(await changedBy(guest.path, init(...sleeper)), [200, ['init']])
    t.ok((await api.initpid(guest)) > 0)
    t.same(await changedBy(guest.path, { flags: [] }), [200, ['flags']])
    t.notOk((await guest.context()).flags.names.includes('PERSISTENT'))
    await guest.kill('SIGKILL')
    await api.ended(guest.xid)
  })

  test('PUT of flags leaves the STATE_* bits as they are', async (t) => {
    const guest = await api.guest(t)
    const { flags } = await guest.context()
    t.same(await changedBy(guest.path, { flags: ['PERSISTENT'] }), [200, []])
    t.same((await guest.context()).flags, flags)
  })

  test('PUT would end an empty context by taking PERSISTENT: 422, and nothing is changed', async (t) => {
    const guest = await api.guest(t, { name: 'kept' })
    const before = await guest.context()
    const reply = await daemon.put(guest.path, { name: 'other', bcaps: [], flags: [] })
    isProblem(t, reply, 422, { type: 'not-persistent' })
    t.same(await guest.context(), before)
  })

  test('PUT with an unsupported name is 422, and nothing is changed', async (t) => {
    const guest = await api.guest(t, { name: 'kept' })
    const before = await guest.context()
    for (const kind of ['flags', 'ccaps', 'bcaps'] as const) {
      const refused = api.vocabulary[kind].find(({ treatment }) => treatment === 'unsupported')
      if (!refused) continue
      const names = kind === 'flags' ? ['PERSISTENT', refused.name] : [refused.name]
      const reply = await daemon.put(guest.path, { name: 'other', [kind]: names })
      isProblem(t, reply, 422, { type: 'unsupported' }, `${kind} ${refused.name}`)
      t.same(await guest.context(), before)
    }
  })

  test('the root of a context cannot be changed: 409', async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'contextd-root-'))
    t.teardown(() => {
      rmSync(root, { recursive: true }) // a driver may have made /dev and /proc there
    })
    const guest = await api.guest(t, { root })
    t.equal((await guest.context()).root, root)
    t.same(await changedBy(guest.path, { root }), [200, []], 'the same root is none')
    isProblem(t, await daemon.put(guest.path, { root: tmpdir(), name: 'new' }), 409, { type: 'root-differs' })
    matches(t, await guest.context(), { root, name: null })
    const other = await api.guest(t)
    isProblem(t, await daemon.put(other.path, { root }), 409, { type: 'root-differs' }, 'a context without one')
  })

  test('of 50 simultaneous PUTs of one context one creates it, and the others change nothing', async (t) => {
    const guest = await api.guest(t)
    await daemon.delete(guest.path)
    const body = { name: 'once', ...init(...sleeper) }
    const all = await Promise.all(Array.from({ length: 50 }, () => changedBy(guest.path, body)))
    t.same(
      all.filter(([status]) => status === 201),
      [[201, ['created']]]
    )
    t.equal(all.filter(([status, changed]) => status === 200 && (changed as string[]).length === 0).length, 49)
    t.equal((await guest.processes()).length, 1, 'one init')
  })

  test('a PUT that fails to create leaves nothing', async (t) => {
    const xid = await api.freeXid()
    const path = `/contexts/${xid}`
    isProblem(t, await daemon.put(path, init('/no/such/program')), 422, { errno: 'ENOENT' })
    isProblem(t, await daemon.put(path, { flags: [] }), 422, { type: 'not-persistent' })
    t.notOk(await api.exists(xid))
  })
}

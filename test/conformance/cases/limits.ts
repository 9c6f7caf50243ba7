/** Limits: which there are, how they are set and told. What they do is tried in test/e2e/limits.test.ts. */
import { limits as vocabulary } from '../../../daemon/vocabulary/limits.js'
import { matches } from '../../support/matches.js'
import { bodyOf, isProblem, type Cases } from '../support.js'

type LimitsBody = Record<string, number | null> & { enforced: string[]; changed: string[] }

export const limits: Cases = (test, api) => {
  const { daemon } = api
  const names = api.vocabulary.limits.map(({ name }) => name)
  const none = { ...Object.fromEntries(names.map((name) => [name, null])), enforced: [] }
  const value = (name: string) => (name.startsWith('memory') ? 1 << 28 : 90)

  test('a context has no limits until they are set', async (t) => {
    const guest = await api.guest(t)
    t.same((await daemon.get(`${guest.path}/limits`)).body, none)
    t.same((await guest.context()).limits, none)
  })

  for (const { name, flag, minimum, maximum } of vocabulary) {
    if (!api.isSupported('limits', name)) {
      test(`${name}, which is unsupported, is 422 and says why, and nothing is made or changed`, async (t) => {
        const xid = await api.freeXid()
        const { reason } = api.vocabulary.limits.find((entry) => entry.name === name) ?? {}
        const refused = { type: 'unsupported', detail: new RegExp(`limits: .*${name}${reason ? ' \\(no cgroup' : ''}`) }
        isProblem(t, await daemon.put(`/contexts/${xid}`, { limits: { [name]: value(name) } }), 422, refused)
        t.equal((await daemon.get(`/contexts/${xid}`)).status, 404)
        const guest = await api.guest(t)
        isProblem(t, await daemon.patch(`${guest.path}/limits`, { [name]: value(name) }), 422, refused)
        matches(t, await daemon.patch(`${guest.path}/limits`, { [name]: null }), { status: 200, body: { changed: [] } })
        t.same((await guest.context()).limits, none)
      })
      continue
    }

    test(`${name} can be given at creation, changed and taken away, and is the same the second time`, async (t) => {
      const xid = await api.freeXid()
      const body = { flags: ['PERSISTENT', flag], limits: { [name]: value(name) } }
      const put = (more: object = body) => daemon.put(`/contexts/${xid}`, more)
      matches(t, await put(), { status: 201, body: { limits: { [name]: value(name) }, changed: ['created'] } })
      t.teardown(() => daemon.delete(`/contexts/${xid}?grace=0`))
      matches(t, await put(), { status: 200, body: { changed: [] } })
      const etag = (await daemon.get(`/contexts/${xid}`)).headers.etag
      const change = (limit: number | null, query = '') =>
        daemon.patch(`/contexts/${xid}/limits${query}`, { [name]: limit })
      matches(t, await change(value(name) + 1, '?dry_run=true'), {
        status: 200,
        body: { [name]: value(name), changed: [name] }
      })
      matches(t, await change(value(name)), { status: 200, body: { changed: [] } })
      t.equal((await daemon.get(`/contexts/${xid}`)).headers.etag, etag)
      matches(t, await change(value(name) + 1), { status: 200, body: { [name]: value(name) + 1, changed: [name] } })
      t.not((await daemon.get(`/contexts/${xid}`)).headers.etag, etag)
      matches(t, await put(), { status: 200, body: { changed: [`limits.${name}`] } })
      matches(t, await change(null), { status: 200, body: { ...none, changed: [name] } })
    })

    test(`${name} is said to be enforced while ${flag} is set, where it is`, async (t) => {
      const guest = await api.guest(t, { flags: ['PERSISTENT'], limits: { [name]: value(name) } })
      const enforced = async () => bodyOf<LimitsBody>(await daemon.get(`${guest.path}/limits`)).enforced
      t.same(await enforced(), [])
      await daemon.patch(`${guest.path}/flags`, { set: [flag] })
      t.same(await enforced(), api.isEnforced('limits', name) ? [name] : [])
      await daemon.patch(`${guest.path}/flags`, { clear: [flag] })
      t.same(await enforced(), [])
      t.match(await daemon.get(`${guest.path}/limits`), { body: { [name]: value(name) } }, 'the value is kept')
    })

    test(`${name} is a whole number from ${minimum} to ${maximum}`, async (t) => {
      const guest = await api.guest(t)
      for (const bad of [minimum - 1, minimum + 0.5, -1, '1', maximum + 2])
        isProblem(t, await daemon.patch(`${guest.path}/limits`, { [name]: bad }), 400, { detail: new RegExp(name) })
      t.same((await guest.context()).limits, none)
    })
  }

  test('no other limit can be named, and a change names one', async (t) => {
    const guest = await api.guest(t)
    isProblem(t, await daemon.patch(`${guest.path}/limits`, { nproc: 1 }), 400, { detail: /nproc/ })
    isProblem(t, await daemon.patch(`${guest.path}/limits`, {}), 400)
    isProblem(t, await daemon.get(`/contexts/${await api.freeXid()}/limits`), 404, { errno: 'ESRCH' })
  })
}

/** Requests that can be repeated: If-Match, dry runs, Idempotency-Key. */
import { init, isProblem, sleeper, type Cases } from '../support.js'

export const repetition: Cases = (test, api) => {
  const { daemon } = api

  const writes: [method: string, path: string, body?: object][] = [
    ['PUT', '', { name: 'new' }],
    ['PUT', '/bcaps', { names: ['KILL'] }],
    ['PATCH', '/bcaps', { clear: ['KILL'] }],
    ['PATCH', '/flags', { set: ['PERSISTENT'] }],
    ['PATCH', '/uname', { context: 'newer' }],
    ['PUT', '/uname/context', { value: 'newest' }],
    ['POST', '/kill', { signal: 0 }]
  ]

  test('a write with If-Match is 412 when the context has changed, and changes nothing', async (t) => {
    const guest = await api.running(t)
    const stale = await api.etag(guest)
    await daemon.patch(`${guest.path}/uname`, { context: 'changed' })
    const before = await guest.context()
    for (const [method, path, body] of [...writes, ['DELETE', ''] as const])
      for (const tag of [stale, '"never"', `${stale}, "never"`]) {
        const reply = await daemon.request(method, guest.path + path, body, { headers: { 'if-match': tag } })
        isProblem(t, reply, 412, { type: 'precondition' }, `${method} ${path} ${tag}`)
      }
    t.same(await guest.context(), before)
  })

  test('a write with If-Match is done when the context is what the caller saw', async (t) => {
    const guest = await api.running(t)
    for (const [method, path, body] of writes) {
      const headers = { 'if-match': `"other", ${await api.etag(guest)}` }
      const { status } = await daemon.request(method, guest.path + path, body, { headers })
      t.ok([200, 204].includes(status), `${method} ${path}: ${status}`)
      t.equal((await daemon.request(method, guest.path + path, body, { headers: { 'if-match': '*' } })).status, status)
    }
    const headers = { 'if-match': await api.etag(guest) }
    t.equal((await daemon.delete(`${guest.path}?grace=0`, { headers })).status, 204)
  })

  test('of many writers who saw the same context one wins', async (t) => {
    const guest = await api.guest(t)
    const headers = { 'if-match': await api.etag(guest) }
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        daemon.put(`${guest.path}/uname/context`, { value: `writer ${n}` }, { headers })
      )
    )
    t.equal(replies.filter(({ status }) => status === 200).length, 1)
    t.equal(replies.filter(({ status }) => status === 412).length, 19)
  })

  test('a dry run of a creation checks everything and makes nothing', async (t) => {
    const xid = await api.freeXid()
    const expected = { xid, changed: ['created'], dry_run: true }
    for (const reply of [
      await daemon.post('/contexts?dry_run=true', { xid }),
      await daemon.post('/contexts?dry_run=true&wait', { xid, ...init('true') }),
      await daemon.put(`/contexts/${xid}?dry_run=true`, {})
    ])
      t.same([reply.status, reply.body], [200, expected])
    isProblem(t, await daemon.post('/contexts?dry_run=true', { xid, flags: [] }), 422, { type: 'not-persistent' })
    isProblem(t, await daemon.post('/contexts?dry_run=true', { xid, bcaps: ['NO_SUCH_NAME'] }), 400)
    t.notOk(await api.exists(xid))
    const guest = await api.guest(t)
    isProblem(t, await daemon.post('/contexts?dry_run=true', { xid: guest.xid }), 409, { errno: 'EEXIST' })
  })

  test('a dry run of PUT and DELETE says what would change, and changes nothing', async (t) => {
    const guest = await api.guest(t, { name: 'a', bcaps: ['KILL'] })
    const before = await guest.context()
    const { xid } = guest
    const body = { name: 'b', bcaps: ['CHOWN'], ...init(...sleeper) }
    const put = await daemon.put(`${guest.path}?dry_run=true`, body)
    t.same([put.status, put.body], [200, { xid, changed: ['bcaps', 'uname.context', 'init'], dry_run: true }])
    const none = await daemon.put(`${guest.path}?dry_run=true`, { name: 'a' })
    t.same([none.status, none.body], [200, { xid, changed: [], dry_run: true }])
    const gone = await daemon.delete(`${guest.path}?dry_run=true`)
    t.same([gone.status, gone.body], [200, { xid, changed: ['destroyed'], dry_run: true }])
    t.same(await guest.context(), before)
  })

  test('a creation with an Idempotency-Key is done once, however often it is sent', async (t) => {
    const headers = { 'idempotency-key': `conformance-${await api.freeXid()}` }
    const body = { name: 'keyed' }
    const replies = await Promise.all(Array.from({ length: 5 }, () => daemon.post('/contexts', body, { headers })))
    replies.push(await daemon.post('/contexts', body, { headers }))
    const xids = new Set(replies.map((reply) => (reply.body as { xid: number }).xid))
    t.teardown(() => Promise.all([...xids].map((xid) => daemon.delete(`/contexts/${xid}?grace=0`))))
    t.equal(xids.size, 1, 'one context')
    t.ok(replies.every(({ status }) => status === 201))
    isProblem(t, await daemon.post('/contexts', { name: 'other' }, { headers }), 422, { type: 'idempotency-key' })
  })

  test('a creation that failed is tried again under the same Idempotency-Key', async (t) => {
    const xid = await api.freeXid()
    const options = { headers: { 'idempotency-key': `conformance-${xid}` } }
    const guest = await api.guest(t)
    isProblem(t, await daemon.post('/contexts', { xid: guest.xid }, options), 409, { errno: 'EEXIST' })
    await daemon.delete(guest.path)
    t.equal((await api.create(t, { xid: guest.xid }, '', options)).status, 201)
  })
}

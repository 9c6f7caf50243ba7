import t from 'tap'
import { Idempotency } from '../../daemon/contexts/idempotency.js'
import type { Context } from '../../daemon/schemas/context.js'
import { TestDaemon } from '../support/daemon.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
})
t.teardown(() => daemon.cleanUp())

const create = (key: string, body: object, query = '') =>
  daemon.post(`/contexts${query}`, body, { headers: { 'idempotency-key': key } })
const count = async () => ((await daemon.get('/contexts')).body as { contexts: Context[] }).contexts.length

void t.test('without a key each request is done', async (t) => {
  const done = new Idempotency()
  let calls = 0
  const work = async () => ++calls
  t.same([await done.run(undefined, 0, {}, work), await done.run(undefined, 0, {}, work)], [1, 2])
})

void t.test('keys of different callers are different keys', async (t) => {
  const done = new Idempotency()
  let calls = 0
  const work = async () => ++calls
  t.same(
    [await done.run('key', 1, {}, work), await done.run('key', 2, {}, work), await done.run('key', 1, {}, work)],
    [1, 2, 1]
  )
})

void t.test('the same key and body make one context, and both answers show it', async (t) => {
  const before = await count()
  const [first, again] = [await create('one', { name: 'a' }), await create('one', { name: 'a' })]
  t.same([first.status, again.status], [201, 201])
  t.same(again.body, first.body)
  t.equal(again.headers.location, first.headers.location)
  t.equal(await count(), before + 1)
})

void t.test('the same key with another body is refused', async (t) => {
  const before = await count()
  t.equal((await create('two', { name: 'a' })).status, 201)
  t.match(await create('two', { name: 'b' }), { status: 422, body: { type: 'idempotency-key' } })
  t.equal(await count(), before + 1)
})

void t.test('the same key with another query is not the same request', async (t) => {
  const before = await count()
  t.match(await create('three', { name: 'a' }, '?dry_run=true'), { status: 200, body: { dry_run: true } })
  const real = await create('three', { name: 'a' })
  t.not(real.status, 200, 'the answer of a dry run is not the answer of the real one')
  t.equal(await count(), before + (real.status === 201 ? 1 : 0))
})

void t.test('twenty requests at once with one key make one context', async (t) => {
  const before = await count()
  const answers = await Promise.all(Array.from({ length: 20 }, () => create('four', { name: 'a' })))
  t.ok(answers.every(({ status }) => status === 201))
  t.equal(new Set(answers.map(({ body }) => (body as Context).xid)).size, 1)
  t.equal(await count(), before + 1)
})

void t.test('a failure is not kept: the next try is a new one', async (t) => {
  const body = { xid: 300, init: { argv: ['/nowhere'] } }
  t.equal((await create('five', body)).status, 422)
  t.equal((await create('five', body)).status, 422)
  t.equal((await create('five', { xid: 300 })).status, 201, 'even with another body')
})

void t.test('a repetition after the context is gone gets the first answer and makes nothing', async (t) => {
  const first = await create('six', { xid: 301 })
  t.equal(first.status, 201)
  t.equal((await daemon.delete('/contexts/301')).status, 204)
  const again = await create('six', { xid: 301 })
  t.equal(again.status, 201)
  t.same(again.body, first.body)
  t.equal((await daemon.get('/contexts/301')).status, 404)
})

void t.test('a key has 1 to 255 characters', async (t) => {
  for (const key of ['', 'x'.repeat(256)])
    t.match(await create(key, {}), { status: 400, body: { detail: /idempotency-key/ } })
  t.equal((await create('x'.repeat(255), {})).status, 201)
})

void t.test('a thousand keys later the first is forgotten', async (t) => {
  const done = new Idempotency()
  let calls = 0
  const work = async () => ++calls
  for (let key = 0; key < 1025; key++) await done.run(`key ${key}`, 0, {}, work)
  t.equal(await done.run('key 0', 0, {}, work), 1026)
  t.equal(await done.run('key 1024', 0, {}, work), 1025)
})

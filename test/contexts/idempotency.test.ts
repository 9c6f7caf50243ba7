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

const refusalOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error
  )

void t.test('keys of one uid push out none of another, however many there are', async (t) => {
  const done = new Idempotency()
  let calls = 0
  const work = async () => ++calls
  await done.run('key', 1, {}, work)
  for (let key = 0; key < 1300; key++) await done.run(`key ${key}`, 2, {}, work)
  t.equal(await done.run('key', 1, {}, work), 1)
})

void t.test('what is kept is bounded in bytes, and what is too long is not done again', async (t) => {
  const done = new Idempotency()
  const size = (bytes: number) => () => bytes
  for (let key = 0; key < 200; key++) await done.run(`key ${key}`, 1, {}, async () => key, size(60_000))
  t.ok(done.bytes <= 1024 * 1024, String(done.bytes))
  t.equal(await done.run('key 199', 1, {}, async () => -1, size(1)), 199)
  t.equal(await done.run('key 0', 1, {}, async () => -1, size(1)), -1, 'the oldest is forgotten')
  await done.run('long', 2, {}, async () => 1, size(1_000_000))
  const again = await refusalOf(done.run('long', 2, {}, async () => -1))
  t.match(again, { status: 409, type: 'idempotency-key' })
  for (let key = 0; key < 2000; key++) await done.run(`long ${key}`, 3, {}, async () => 1, size(1_000_000))
  t.ok(done.bytes <= 3 * 1024 * 1024, String(done.bytes))
})

void t.test('when all memory for keys is used, a uid without any is told to come back, and root is not', async (t) => {
  const done = new Idempotency()
  const size = () => 64 * 1024
  for (let uid = 1; uid < 70; uid++)
    for (let key = 0; key < 17; key++) await done.run(`${key}`, uid, {}, async () => 1, size).catch(() => undefined)
  t.match(await refusalOf(done.run('key', 100, {}, async () => 1)), { status: 503, type: 'busy' })
  t.equal(await done.run('key', 0, {}, async () => 1), 1)
  t.equal(await done.run('new', 1, {}, async () => 2), 2)
})

void t.test('a request under way is not forgotten, and its repetition waits for it', async (t) => {
  const done = new Idempotency()
  let finish: (value: number) => void = () => undefined
  const first = done.run('key', 1, {}, () => new Promise<number>((resolve) => (finish = resolve)))
  for (let key = 0; key < 1300; key++) await done.run(`key ${key}`, 1, {}, async () => key)
  const again = done.run('key', 1, {}, async () => -1)
  t.match(await refusalOf(done.run('key', 1, { other: 1 }, async () => -1)), { status: 422 })
  finish(7)
  t.same([await first, await again], [7, 7])
})

void t.test('a process that is started with a key is started once, captured or not', async (t) => {
  await create('process', { xid: 400, flags: ['PERSISTENT'], init: { argv: ['sleep', '1000'] } })
  const start = (key: string, body: object) =>
    daemon.post('/contexts/400/processes', body, { headers: { 'idempotency-key': key } })
  const argv = ['sleep', '1000']
  const [first, again] = await Promise.all([start('start', { argv }), start('start', { argv })])
  t.equal(first.status, 201)
  t.same(again.body, first.body)
  t.match(await start('start', { argv: ['true'] }), { status: 422 })
  const { processes } = (await daemon.get('/contexts/400/processes')).body as { processes: unknown[] }
  t.equal(processes.length, 2, 'beside the init')
  const capture = { argv: ['echo', 'once'], capture: true }
  const captured = await start('capture', capture)
  t.match(captured, { status: 200, body: { stdout: 'once\n' } })
  t.same((await start('capture', capture)).body, captured.body, 'the same pid')
})

void t.test('so is a kill, whose repetition does no harm to what has the pid by then', async (t) => {
  const kill = (key: string) =>
    daemon.post('/contexts/400/kill', { pid: -1, signal: 'SIGKILL' }, { headers: { 'idempotency-key': key } })
  t.equal((await kill('kill')).status, 204)
  await daemon.post('/contexts/400/processes', { argv: ['sleep', '1000'] })
  t.equal((await kill('kill')).status, 204)
  const { processes } = (await daemon.get('/contexts/400/processes')).body as { processes: unknown[] }
  t.equal(processes.length, 2)
})

void t.test('a repetition is answered though its If-Match is that of before', async (t) => {
  const etag = String((await daemon.get('/contexts/400')).headers.etag)
  const headers = { 'idempotency-key': 'if', 'if-match': etag }
  const first = await daemon.post('/contexts/400/processes', { argv: ['sleep', '1000'] }, { headers })
  await daemon.put('/contexts/400/uname/nodename', { value: 'another' })
  const again = await daemon.post('/contexts/400/processes', { argv: ['sleep', '1000'] }, { headers })
  t.equal(first.status, 201)
  t.same(again.body, first.body)
})

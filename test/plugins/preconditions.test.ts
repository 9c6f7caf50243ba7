/** ETag and If-Match. */
import t from 'tap'
import { Contexts } from '../../daemon/contexts/contexts.js'
import { MemoryDriver } from '../../daemon/drivers/memory/memory.js'
import { Announcements, Events } from '../../daemon/events/events.js'
import { Access } from '../../daemon/policy/access.js'
import { actions, type Action } from '../../daemon/schemas/policy.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
})
t.teardown(() => daemon.cleanUp())

const ifMatch = (tag: string) => ({ headers: { 'if-match': tag } })
const etagOf = async (path: string) => String((await daemon.get(path)).headers.etag)

void t.test('the tag changes with the context and comes back with it', async (t) => {
  const { path } = await guestOf(t, daemon, { uname: { nodename: 'a' } })
  const first = await etagOf(path)
  t.match(first, /^"[\w-]+"$/)
  t.equal(await etagOf(path), first)
  await daemon.patch(`${path}/uname`, { nodename: 'b' })
  t.not(await etagOf(path), first)
  await daemon.patch(`${path}/uname`, { nodename: 'a' })
  t.equal(await etagOf(path), first)
})

void t.test('a write with the tag of now is done, one with another is 412 and changes nothing', async (t) => {
  const { path } = await guestOf(t, daemon)
  const writes = [
    ['PATCH', `${path}/uname`, { nodename: 'changed' }],
    ['PUT', `${path}/flags`, { names: ['PERSISTENT'] }],
    ['PATCH', `${path}/bcaps`, { clear: ['CHOWN'] }],
    ['PUT', path, { name: 'changed' }],
    ['POST', `${path}/processes`, { argv: ['/bin/sleep', '1'] }],
    ['POST', `${path}/kill`, { signal: 'SIGKILL' }],
    ['DELETE', path, undefined]
  ] as const
  for (const [method, url, body] of writes) {
    const tag = await etagOf(path)
    const refused = await daemon.request(method, url, body, ifMatch('"other"'))
    t.match(refused, { status: 412, body: { type: 'precondition', detail: tag } }, `${method} ${url}`)
    t.equal(await etagOf(path), tag)
    t.ok((await daemon.request(method, url, body, ifMatch(`"other", ${tag}`))).status < 300, `${method} ${url}`)
  }
})

void t.test('any tag will do for *, but there must be a context', async (t) => {
  const { path } = await guestOf(t, daemon)
  t.equal((await daemon.patch(`${path}/uname`, { nodename: 'x' }, ifMatch('*'))).status, 200)
  t.equal((await daemon.delete('/contexts/999', ifMatch('*'))).status, 404)
})

void t.test('PUT with If-Match does not create a context', async (t) => {
  t.ok([404, 412].includes((await daemon.put('/contexts/998', {}, ifMatch('*'))).status))
  t.equal((await daemon.get('/contexts/998')).status, 404)
})

const ifNoneMatch = (tag: string) => ({ headers: { 'if-none-match': tag } })

void t.test('a write takes strong tags only', async (t) => {
  const { path } = await guestOf(t, daemon)
  const tag = await etagOf(path)
  for (const weak of [`W/${tag}`, `"x", W/${tag}`, tag.slice(1, -1)])
    t.equal((await daemon.patch(`${path}/uname`, { nodename: 'x' }, ifMatch(weak))).status, 412, weak)
})

void t.test('a read with the tag of now is 304, weak or strong, and HEAD too', async (t) => {
  const { path } = await guestOf(t, daemon)
  const tag = await etagOf(path)
  for (const tags of [tag, `W/${tag}`, `"x", ${tag}`, '*'])
    for (const method of ['GET', 'HEAD']) {
      const reply = await daemon.request(method, path, undefined, ifNoneMatch(tags))
      t.match(reply, { status: 304, text: '', headers: { etag: tag } }, `${method} ${tags}`)
    }
  t.equal((await daemon.get(path, ifNoneMatch('"other"'))).status, 200)
  await daemon.patch(`${path}/uname`, { nodename: 'changed' })
  t.equal((await daemon.get(path, ifNoneMatch(tag))).status, 200)
  t.equal((await daemon.get('/contexts/997', ifNoneMatch('*'))).status, 404)
})

void t.test('every write below a context answers with its new tag', async (t) => {
  const { path } = await guestOf(t, daemon)
  const writes = [
    ['PATCH', `${path}/uname`, { nodename: 'changed' }],
    ['PUT', `${path}/uname/domainname`, { value: 'changed' }],
    ['PUT', `${path}/flags`, { names: ['PERSISTENT', 'INFO_NPROC'] }],
    ['PATCH', `${path}/bcaps`, { clear: ['CHOWN'] }],
    ['PATCH', `${path}/limits`, { pids_max: 77 }],
    ['PUT', path, { name: 'changed' }],
    ['POST', `${path}/processes`, { argv: ['sleep', '1000'] }],
    ['POST', `${path}/kill`, { signal: 'SIGKILL' }]
  ] as const
  for (const [method, url, body] of writes) {
    const before = await etagOf(path)
    const reply = await daemon.request(
      method,
      `${url}${method === 'POST' ? '' : '?unsupported=record'}`,
      body,
      ifMatch(before)
    )
    t.ok(reply.status < 300, `${method} ${url}: ${reply.text}`)
    t.equal(reply.headers.etag, await etagOf(path), `${method} ${url}`)
  }
  t.equal((await daemon.delete(path)).headers.etag, undefined, 'nothing is left that could have one')
})

void t.test('If-None-Match: * makes a context or nothing, however many ask at once', async (t) => {
  const put = () => daemon.put('/contexts/996', { name: 'new' }, ifNoneMatch('*'))
  const statuses = (await Promise.all([put(), put(), put(), put()])).map(({ status }) => status)
  t.same(statuses.sort(), [201, 412, 412, 412])
  t.match(await put(), { status: 412, body: { type: 'precondition', detail: /exists/ } })
  t.equal((await daemon.put('/contexts/996', { name: 'new' }, ifNoneMatch('"x"'))).status, 200)
  t.equal((await daemon.put('/contexts/996', {}, ifNoneMatch(await etagOf('/contexts/996')))).status, 412)
})

void t.test('of two writes that were both let through, the second finds that it is not new', async (t) => {
  const driver = new MemoryDriver()
  const events = new Events((xid) => driver.ownerOf(xid))
  const contexts = new Contexts(driver, events)
  const all = { all: true, own: true, ranges: [] }
  const grants = Object.fromEntries(actions.map((action) => [action, all])) as Record<Action, typeof all>
  const access = new Access(0, grants, () => 0)
  const apply = () =>
    contexts.apply(
      100,
      {},
      { calls: [], changes: [], access, events: new Announcements(events, 'id'), mustBeNew: true }
    )
  const [first, second] = await Promise.allSettled([apply(), apply()])
  t.equal(first.status, 'fulfilled')
  t.match(second, { status: 'rejected', reason: { status: 412, type: 'precondition' } })
})

/** ETag and If-Match. */
import t from 'tap'
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

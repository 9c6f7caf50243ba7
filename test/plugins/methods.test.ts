/** Methods that a path does not take. */
import { METHODS } from 'node:http'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
})
t.teardown(() => daemon.cleanUp())

void t.test('every method that HTTP has is 405 with Allow on a path that does not take it', async (t) => {
  const paths = {
    '/contexts/100': ['GET', 'HEAD', 'PUT', 'DELETE'],
    '/contexts/100/kill': ['POST'],
    '/docs/static/swagger-ui.css': ['GET', 'HEAD']
  }
  for (const [path, taken] of Object.entries(paths))
    for (const method of METHODS.filter((name) => !taken.includes(name) && name !== 'CONNECT' && name !== 'QUERY')) {
      const reply = await daemon.request(method, path)
      t.equal(reply.status, 405, `${method} ${path}`)
      t.equal(reply.headers.allow, taken.join(', '), `${method} ${path}`)
      if (method !== 'HEAD')
        t.match(reply.body, { type: 'method', status: 405, detail: / takes / }, `${method} ${path}`)
    }
})

void t.test('a body of another type makes no difference, nor does QUERY where this Node knows it', async (t) => {
  const raw = { raw: '<propfind/>', headers: { 'content-type': 'application/xml' } }
  for (const method of ['PROPFIND', 'POST', 'PATCH', ...METHODS.filter((name) => name === 'QUERY')])
    t.equal((await daemon.request(method, '/contexts/100', undefined, raw)).status, 405, method)
})

void t.test('on a path that is not there they are 404', async (t) => {
  for (const method of ['TRACE', 'PROPFIND', 'GET', 'POST', 'OPTIONS'])
    t.match(await daemon.request(method, '/contexts/100/nothing'), { status: 404, body: { type: 'not-found' } }, method)
})

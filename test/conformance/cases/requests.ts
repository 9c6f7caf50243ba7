/** What is no good request, and how the answer says so. */
import type { Test } from 'tap'
import type { RequestOptions } from '../../support/daemon.js'
import { isProblem, type Cases, type Expected } from '../support.js'

export const requests: Cases = (test, api) => {
  const { daemon } = api

  /** A request that is refused, and leaves no context. */
  const refused = async (
    t: Test,
    method: string,
    path: string,
    options: RequestOptions,
    status: number,
    expected: Expected
  ) => {
    const before = await daemon.get('/contexts')
    const reply = await daemon.request(method, path, undefined, options)
    isProblem(t, reply, status, expected, `${method} ${path}`)
    t.same((await daemon.get('/contexts')).body, before.body, 'nothing is made')
    return reply
  }

  test('an unknown field is 400, and the answer names it', async (t) => {
    const xid = await api.freeXid()
    const bodies: [body: object, field: RegExp][] = [
      [{ xid, colour: 'red' }, /colour/],
      [{ xid, uname: { colour: 'red' } }, /colour/],
      [{ xid, init: { argv: ['true'], colour: 'red' } }, /colour/]
    ]
    for (const [body, detail] of bodies)
      await refused(t, 'POST', '/contexts', { raw: JSON.stringify(body), headers: json }, 400, {
        type: 'validation',
        detail
      })
  })

  test('a field of the wrong type is 400, and nothing is guessed', async (t) => {
    const xid = await api.freeXid()
    const bodies: [body: object, field: RegExp][] = [
      [{ xid: `${xid}` }, /xid/],
      [{ xid: null }, /xid/],
      [{ xid, name: 5 }, /name/],
      [{ xid, flags: 'PERSISTENT' }, /flags/],
      [{ xid, flags: 274877906944 }, /flags/],
      [{ xid, root: 5 }, /root/],
      [{ xid, init: 'true' }, /init/],
      [{ xid, init: { argv: [] } }, /init/]
    ]
    for (const [body, detail] of bodies)
      await refused(t, 'POST', '/contexts', { raw: JSON.stringify(body), headers: json }, 400, {
        type: 'validation',
        detail
      })
  })

  test('a query that a call does not know is 400', async (t) => {
    const guest = await api.guest(t)
    const calls: [method: string, path: string, body?: object][] = [
      ['POST', '/contexts?colour=red', {}],
      ['GET', '/contexts?colour=red'],
      ['PUT', `${guest.path}?colour=red`, {}],
      ['PATCH', `${guest.path}/flags?colour=red`, { set: [] }],
      ['POST', `${guest.path}/wait?colour=red`],
      ['DELETE', `${guest.path}?colour=red`]
    ]
    for (const [method, path, body] of calls)
      isProblem(
        t,
        await daemon.request(method, path, body),
        400,
        { type: 'validation', detail: /colour/ },
        `${method} ${path}`
      )
    t.ok(await api.exists(guest.xid))
  })

  test('a call that has no dry run refuses to be asked for one, and does nothing', async (t) => {
    const guest = await api.running(t)
    const calls: [path: string, body: object][] = [
      ['/processes', { argv: ['true'], capture: true }],
      ['/kill', { signal: 'SIGKILL' }]
    ]
    for (const [path, body] of calls)
      isProblem(t, await daemon.post(`${guest.path}${path}?dry_run=true`, body), 400, { type: 'validation' }, path)
    t.equal((await guest.processes()).length, 1)
  })

  test('a body that is not JSON is 400', async (t) => {
    for (const raw of ['{', '{"xid":', 'xid=5', '{"xid":5e2}', '\u0000'])
      await refused(t, 'POST', '/contexts', { raw, headers: json }, 400, {})
    for (const raw of ['[]', '"x"', '5', 'null', ''])
      await refused(t, 'POST', '/contexts', { raw, headers: json }, 400, { type: 'validation' })
  })

  test('a body of another media type is 415', async (t) => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml'])
      await refused(t, 'POST', '/contexts', { raw: '{}', headers: { 'content-type': type } }, 415, {
        type: 'media-type'
      })
  })

  test('a body over 64 KiB is 413', async (t) => {
    const raw = JSON.stringify({ init: { argv: ['echo', 'x'.repeat(66_000)] } })
    await refused(t, 'POST', '/contexts', { raw, headers: json }, 413, { type: 'too-large' })
  })

  test('a method that a path does not take is 405, with those it takes', async (t) => {
    const { path } = await api.guest(t)
    const calls: [method: string, path: string, allow: RegExp][] = [
      ['DELETE', '/contexts', /POST/],
      ['POST', path, /PUT/],
      ['PATCH', path, /DELETE/],
      ['DELETE', `${path}/flags`, /PATCH/],
      ['GET', `${path}/kill`, /POST/],
      ['GET', `${path}/wait`, /POST/],
      ['POST', `${path}/stat`, /GET/]
    ]
    for (const [method, url, allow] of calls) {
      const reply = await refused(t, method, url, {}, 405, { type: 'method' })
      t.match(reply.headers.allow, allow)
    }
  })

  test('a path that is none is 404, and an xid that is none is 400', async (t) => {
    for (const path of ['/context', '/contexts/5/colour', '/tasks'])
      await refused(t, 'GET', path, {}, 404, { type: 'not-found' })
    for (const xid of ['0', '1', '65536', 'web', '2.5', '0x10', '1e3', '-5', '007'])
      await refused(t, 'GET', `/contexts/${xid}`, {}, 400, { type: 'validation', detail: /xid/ })
  })

  test('the vocabulary names every bit once, with one of six treatments', async (t) => {
    const treatments = ['enforced', 'always', 'at_create', 'new_processes', 'recorded', 'unsupported']
    for (const [kind, entries] of Object.entries(api.vocabulary)) {
      if (!Array.isArray(entries)) continue
      const names = entries.map(({ name }) => name)
      t.equal(new Set(names).size, names.length, `${kind}: no name twice`)
      const bits = entries.flatMap(({ bit }) => (bit === null ? [] : [bit]))
      t.equal(new Set(bits).size, bits.length, `${kind}: no bit twice`)
      t.ok(
        entries.every(({ treatment }) => treatments.includes(treatment)),
        `${kind}: treatments`
      )
    }
  })
}

const json = { 'content-type': 'application/json' }

/** Text of paths and queries is read as a number only when it is written as one. */
import t from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { TestDaemon } from '../support/daemon.js'
import { expect } from '../support/guest.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
  for (const xid of [7, 10, 16, 1000]) await daemon.post('/contexts', { xid })
})
t.teardown(() => daemon.cleanUp())

void t.test('an integer in a path has one way to be written', async (t) => {
  t.equal((await daemon.get('/contexts/7')).status, 200)
  for (const text of [
    '1e3',
    '007',
    '%207',
    '7%20',
    '+7',
    '7.0',
    '0x10',
    '0b111',
    '1_000',
    '7,0',
    '%D9%A7',
    'NaN',
    '7%00',
    '-7'
  ])
    t.equal((await daemon.get(`/contexts/${text}`)).status, 400, text)
})

void t.test('an integer in a query has one way to be written', async (t) => {
  t.equal((await daemon.get('/contexts?after=7')).status, 200)
  for (const text of ['1e1', '007', '%207', '7%20', '+7', '%2B7', '7.0', '0x7', '', 'Infinity'])
    t.equal((await daemon.get(`/contexts?after=${text}`)).status, 400, JSON.stringify(text))
})

void t.test('a number in a query may have a fraction, but no exponent and no sign', async (t) => {
  for (const text of ['0', '0.001', '0.0'])
    t.equal((await daemon.post(`/contexts/7/wait?timeout=${text}`)).status, 204, text)
  for (const text of ['1e-3', '.1', '0.', '00.1', '-0.1', '0,1', 'Infinity', ''])
    t.equal((await daemon.post(`/contexts/7/wait?timeout=${text}`)).status, 400, text)
})

void t.test('a boolean in a query is true or false, also as Python and command lines write it', async (t) => {
  const dryRuns = { true: true, True: true, 1: true, false: false, False: false, 0: false }
  for (const [text, dryRun] of Object.entries(dryRuns)) {
    const reply = await daemon.put(`/contexts/7?dry_run=${text}`, {})
    t.equal(reply.status, 200, text)
    t.equal((reply.body as { dry_run?: boolean }).dry_run === true, dryRun, text)
  }
  for (const text of ['yes', 'TRUE', 'tRue', '2', '-1', '00', ''])
    t.equal((await daemon.put(`/contexts/7?dry_run=${text}`, {})).status, 400, text)
})

void t.test('a body is taken as it is: text is no number, a number is no text', async (t) => {
  t.equal((await daemon.post('/contexts', { xid: '100' })).status, 400)
  t.equal((await daemon.post('/contexts', { name: 7 })).status, 400)
  t.equal((await daemon.post('/contexts/7/processes', { argv: ['/bin/true'], capture: 'true' })).status, 400)
  t.equal((await daemon.post('/contexts/7/processes', { argv: '/bin/true' })).status, 400, 'one value is no list')
})

void t.test('exponents are refused in numbers and left alone in text', async (t) => {
  for (const raw of ['{"xid":1e3}', '{"xid":1E3}', '{"xid":0.1e4}', '{"xid":1000e0}'])
    t.match(await daemon.post('/contexts', undefined, { raw }), { status: 400, body: { detail: /exponent/ } }, raw)
  const raw = '{"xid":100,"name":"1e3 \\" 2E5"}'
  t.equal(expect<Context>(201, await daemon.post('/contexts', undefined, { raw })).name, '1e3 " 2E5')
})

void t.test('each refusal names the field and its place', async (t) => {
  t.match((await daemon.get('/contexts/abc')).body, { detail: /^path\.xid / })
  t.match((await daemon.get('/contexts?limit=abc')).body, { detail: /^querystring\.limit / })
  t.match((await daemon.get('/contexts?colour=red')).body, { detail: /^querystring\.colour is unknown/ })
  t.match((await daemon.post('/contexts', { colour: 'red' })).body, { detail: /^body\.colour is unknown/ })
  t.match((await daemon.post('/contexts', { init: { argv: ['x'], user: { uid: 'root' } } })).body, {
    detail: /^body\.init\.user\.uid /
  })
  t.match((await daemon.put('/contexts/7/uname/nodename', {})).body, { detail: /value/ })
})

void t.test('an empty body is no body', async (t) => {
  const headers = { 'content-type': 'application/json' }
  t.equal((await daemon.post('/contexts/7/wait?timeout=0', undefined, { raw: '', headers })).status, 204)
  t.equal((await daemon.delete('/contexts/16', { headers })).status, 204)
})

/** Bodies and targets are text, as it is. */
import t from 'tap'
import { gzipSync } from 'node:zlib'
import { TestDaemon } from '../support/daemon.js'
import { answerTo } from '../support/raw-http.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
  await daemon.post('/contexts', { xid: 100, name: 'as it was' })
})
t.teardown(() => daemon.cleanUp())

const put = (raw: string | Buffer, headers: Record<string, string> = {}) =>
  daemon.put('/contexts/100', undefined, { raw, headers })

void t.test('bytes that are no UTF-8 are refused, not replaced', async (t) => {
  for (const bytes of ['ff', 'c3', 'eda080', 'c0af', 'f8888080'])
    t.match(
      await put(Buffer.concat([Buffer.from('{"name":"'), Buffer.from(bytes, 'hex'), Buffer.from('"}')])),
      { status: 400, body: { type: 'invalid-json', detail: /UTF-8/ } },
      bytes
    )
})

void t.test('half of a surrogate pair is refused where it stands, a whole one is a character', async (t) => {
  const cases = [
    ['{"name":"\\ud800"}', /^body\.name /],
    ['{"name":"a\\uDFFFb"}', /^body\.name /],
    ['{"uname":{"nodename":"\\udc00\\ud800"}}', /^body\.uname\.nodename /],
    ['{"init":{"argv":["true","\\ud83d"]}}', /^body\.init\.argv\.1 /],
    ['{"init":{"argv":["true"],"env":{"\\ud83d":"x"}}}', /^body\.init\.env /]
  ] as const
  for (const [raw, detail] of cases) t.match(await put(raw), { status: 400, body: { type: 'validation', detail } }, raw)
  t.equal((await daemon.put('/contexts/100?dry_run=true', undefined, { raw: '{"name":"\\ud83d\\ude00"}' })).status, 200)
})

void t.test('a NUL is refused in every string', async (t) => {
  const cases = [
    ['{"name":"a\\u0000"}', /^body\.name /],
    ['{"root":"/\\u0000"}', /^body\.root /],
    ['{"flags":["\\u0000"]}', /^body\.flags\.0 /],
    ['{"init":{"argv":["true"],"env":{"A\\u0000":"x"}}}', /^body\.init\.env /]
  ] as const
  for (const [raw, detail] of cases) t.match(await put(raw), { status: 400, body: { type: 'validation', detail } }, raw)
  const reply = await daemon.post('/contexts/100/kill', undefined, { raw: '{"signal":"TERM\\u0000"}' })
  t.match(reply, { status: 400, body: { detail: /^body\.signal / } })
  t.match(await daemon.get('/contexts?name=a%00'), { status: 400 })
  t.equal((await daemon.get('/contexts?name=%5Cu0000')).status, 200, 'a backslash is one')
})

void t.test('another charset and an encoded body are 415', async (t) => {
  const types = [
    'application/json; charset=latin1',
    'application/json;charset="iso-8859-1"',
    'application/json; charset=utf-16'
  ]
  for (const type of types)
    t.match(await put('{"name":"x"}', { 'content-type': type }), { status: 415, body: { type: 'media-type' } }, type)
  for (const type of ['application/json; charset=UTF-8', 'application/json; charset="utf-8"', 'application/json'])
    t.equal((await put('{}', { 'content-type': type })).status, 200, type)
  for (const encoding of ['gzip', 'deflate', 'br', 'gzip, identity'])
    t.match(
      await put(gzipSync('{"name":"x"}'), { 'content-encoding': encoding }),
      { status: 415, body: { type: 'media-type', detail: /content-encoding/ } },
      encoding
    )
  t.equal((await put('{}', { 'content-encoding': 'identity' })).status, 200)
})

void t.test('a target is percent-encoded UTF-8', async (t) => {
  for (const path of ['/contexts?name=%ff', '/contexts?name=%c3', '/contexts?name=%ed%a0%80', '/contexts?name=100%'])
    t.match(await daemon.get(path), { status: 400, headers: { 'content-type': /problem/ } }, path)
  t.equal((await daemon.get('/contexts?name=%C3%A9')).status, 200)
  const raw = Buffer.from('GET /contexts?name=é HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n')
  t.match(await answerTo(t, daemon.socket, raw), { status: 400, body: { type: 'http' } })
})

void t.test('nothing of all that was done', async (t) => {
  t.match((await daemon.get('/contexts/100')).body, { name: 'as it was', initpid: 0 })
})

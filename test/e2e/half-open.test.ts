/** Clients that close their half when they have asked, and clients that go. */
import t, { type Test } from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { Raw } from '../support/raw-http.js'

const request = (method: string, path: string, body = '', version = '1.1') =>
  `${method} ${path} HTTP/${version}\r\nhost: d\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`

function half(t: Test, daemon: TestDaemon, text: string): Raw {
  const client = new Raw(t, daemon.socket, text)
  client.halfClose()
  return client
}

async function used(daemon: TestDaemon, kind: string): Promise<number> {
  const { text } = await daemon.get('/metrics')
  return Number(new RegExp(`^contextd_slots_used\\{kind="${kind}"\\} (\\d+)$`, 'm').exec(text)?.[1])
}

void t.test('reads and writes are answered', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  for (const version of ['1.0', '1.1']) {
    const xid = version === '1.0' ? 100 : 101
    t.match(await half(t, daemon, request('GET', '/health', '', version)).closed(), /^HTTP\/1\.1 200 .*"status"/s)
    const body = `{"xid":${xid}}`
    t.match(await half(t, daemon, request('POST', '/contexts', body, version)).closed(), /^HTTP\/1\.1 201 .*"xid"/s)
    t.match(await half(t, daemon, request('DELETE', `/contexts/${xid}`, '', version)).closed(), /^HTTP\/1\.1 204 /)
  }
  const two = await half(t, daemon, request('GET', '/health') + request('GET', '/version')).closed()
  t.equal(two.split('HTTP/1.1 200 OK').length, 3, 'each of those that were sent')
  const unfinished = request('POST', '/contexts', '{"xid":102}').slice(0, -3)
  t.match(await half(t, daemon, unfinished).closed(), /^HTTP\/1\.1 400 /, 'half a body is none')
})

void t.test('so are waits, when it is time', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const guest = await guestOf(t, daemon, { init: { argv: ['sleep', '1000'] }, flags: [] })
  const waiting = half(t, daemon, request('POST', `${guest.path}/wait`))
  const gone = half(t, daemon, request('POST', `${guest.path}/wait`))
  await until('both wait', async () => (await used(daemon, 'waiters')) === 2)
  t.equal(waiting.text, '')
  gone.hangUp()
  await until('the one that has gone is noticed', async () => (await used(daemon, 'waiters')) === 1)
  expect(204, await daemon.delete(`${guest.path}?grace=0`))
  t.match(await waiting.closed(), /^HTTP\/1\.1 200 .*"raw_status"/s)
  await until('nothing is held', async () => (await used(daemon, 'waiters')) === 0)
})

void t.test('events go on to come, until the client is gone', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const reader = half(t, daemon, request('GET', '/events'))
  await until('it reads', async () => (await used(daemon, 'event_readers')) === 1)
  await guestOf(t, daemon)
  await until('it is told', () => reader.text.includes('event: created'))
  reader.hangUp()
  await until('its place is free', async () => (await used(daemon, 'event_readers')) === 0)
})

void t.test('a wait of a client that is stopped with is told so', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const waiting = half(t, daemon, request('POST', '/contexts/100/wait'))
  await until('it waits', async () => (await used(daemon, 'waiters')) === 1)
  t.equal(await daemon.stop(), 0)
  t.match(await waiting.closed(), /^HTTP\/1\.1 503 .*"type":"stopping"/s)
})

void t.test('captures and logs of guests are answered, and let go of', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
  const capture = '{"argv":["/bin/sh","-c","sleep 1; echo late"],"capture":true}'
  const captured = half(t, daemon, request('POST', `${guest.path}/processes`, capture))
  t.match(await captured.closed(), /^HTTP\/1\.1 200 .*"stdout":"late\\n"/s)

  const follower = half(t, daemon, request('GET', `${guest.path}/log?follow=true`))
  await until('it follows', async () => (await used(daemon, 'log_readers')) === 1)
  await guest.start(['/bin/echo', 'a line'])
  await until('the line comes', () => follower.text.includes('stdout F a line'))
  follower.hangUp()
  await until('its place is free', async () => (await used(daemon, 'log_readers')) === 0)
})

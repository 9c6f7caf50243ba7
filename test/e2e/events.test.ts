/** GET /events: what is told, in which order, to whom, and what becomes of readers that do not read. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { asUser, curl } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'
import { EventReader } from '../support/sse.js'

async function daemonOf(t: Test, args: string[] = []): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { args })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

async function readerOf(t: Test, daemon: TestDaemon, path?: string, headers?: Record<string, string>) {
  const reader = await EventReader.open(daemon.socket, path, headers)
  t.teardown(() => {
    reader.close()
  })
  return reader
}

onRealDrivers((test, daemon) => {
  test('the life of a context is told in the order it happened, with the request that caused it', async (t) => {
    const reader = await readerOf(t, daemon, '/events?xid=300')
    const init = { argv: ['/bin/sh', '-c', 'read x </dev/zero'] }
    expect(201, await daemon.post('/contexts', { xid: 300, name: 'told', flags: ['PERSISTENT'], init }))
    expect(200, await daemon.patch('/contexts/300/ccaps?unsupported=record', { set: ['SET_UTSNAME'] }))
    expect(200, await daemon.patch('/contexts/300/uname', { nodename: 'other' }))
    const { pid } = expect<{ pid: number }>(
      201,
      await daemon.post('/contexts/300/processes', { argv: ['/bin/sleep', '9'] })
    )
    expect(204, await daemon.delete('/contexts/300?grace=0'))
    await until('the end', () => reader.types.includes('destroyed') && reader.types.includes('process_exited'))
    // Two launchers tell of what died at once, the one of the process and the one of init.
    const told = reader.types.filter((type) => type !== 'process_exited')
    t.same(told, ['created', 'started', 'changed', 'changed', 'started', 'exited', 'destroyed'])
    const end = { pid, xid: 300, exit_code: null, term_signal: /^SIG(TERM|KILL)$/ }
    matches(
      t,
      reader.events.filter(({ data }) => data.type === 'process_exited').map(({ data }) => data),
      [end]
    )
    t.match(reader.events[0]?.data, { type: 'created', xid: 300, name: 'told', request_id: /\w/, time: /^\d{4}-.*Z$/ })
    t.match(reader.events[1]?.data, { xid: 300, init: true })
    matches(t, reader.events[2]?.data, { what: 'ccaps', value: { names: ['SET_UTSNAME'] } })
    t.match(reader.events[3]?.data, { what: 'uname.nodename', value: 'other' })
    t.match(reader.events[4]?.data, { pid, init: false })
    matches(t, reader.events.find(({ data }) => data.type === 'destroyed')?.data, {
      type: 'destroyed',
      xid: 300,
      term_signal: /^SIG/,
      reboot_cmd: null
    })
    const ids = new Set(daemon.audit().map((record: { request_id: string }) => record.request_id))
    t.ok(ids.has(reader.events[0]?.data.request_id ?? ''), 'the same id as in the audit log')
  })

  test('a context that ends by itself is told, though no request says so', async (t) => {
    const reader = await readerOf(t, daemon, '/events?xid=301')
    expect(200, await daemon.post('/contexts?wait', { xid: 301, init: { argv: ['/bin/sh', '-c', 'exit 3'] } }))
    await until('the end', () => reader.types.includes('destroyed'))
    t.same(reader.types, ['created', 'started', 'exited', 'destroyed'])
    t.match(reader.events.at(-1)?.data, { type: 'destroyed', exit_code: 3 })
  })

  test('a creation that is undone is not told', async (t) => {
    const reader = await readerOf(t, daemon, '/events?xid=302,303')
    t.equal((await daemon.post('/contexts', { xid: 302, init: { argv: ['/no/such/program'] } })).status, 422)
    expect(201, await daemon.post('/contexts', { xid: 303 }))
    t.teardown(() => daemon.delete('/contexts/303?grace=0'))
    await reader.has(1)
    t.same(
      reader.events.map(({ data }) => [data.xid, data.type]),
      [[303, 'created']]
    )
  })
})

void t.test(
  'an init that ends in a persistent context is told once, by the namespaces driver',
  needsRoot(),
  async (t) => {
    const daemon = await TestDaemon.start('namespaces')
    t.teardown(() => daemon.cleanUp())
    const reader = await readerOf(t, daemon)
    const init = { argv: ['/bin/sh', '-c', 'exit 4'] }
    expect(201, await daemon.post('/contexts', { xid: 310, flags: ['PERSISTENT'], init }))
    await until('the end', () => reader.types.includes('exited'))
    expect(200, await daemon.put('/contexts/310', { init: { argv: ['/bin/sleep', '1000'] } }))
    expect(200, await daemon.patch('/contexts/310/flags', { set: ['SCHED_PAUSE'] }))
    expect(200, await daemon.patch('/contexts/310/flags', { clear: ['SCHED_PAUSE'] }))
    await daemon.stop()
    await daemon.boot()
    const again = await readerOf(t, daemon)
    expect(204, await daemon.post('/contexts/310/kill', { signal: 'SIGKILL' }))
    await again.has(1)
    expect(204, await daemon.delete('/contexts/310?grace=0'))
    await again.has(2)
    t.same(reader.types, ['created', 'started', 'exited', 'started', 'changed', 'paused', 'changed', 'resumed'])
    t.match(reader.events[2]?.data, { exit_code: 4 })
    t.same(again.types, ['exited', 'destroyed'], 'of processes that an earlier daemon started, too')
    t.match(again.events[0]?.data, { term_signal: 'SIGKILL' })
  }
)

void t.test('a stop delivers what has happened before it', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const readers = await Promise.all(Array.from({ length: 20 }, () => readerOf(t, daemon)))
  const names = Array.from({ length: 30 }, (_, index) => `name-${index}`)
  for (const nodename of names) expect(200, await daemon.patch('/contexts/100/uname', { nodename }))
  await daemon.stop()
  for (const reader of readers) {
    await until('the end', () => reader.ended)
    t.same(
      reader.events.map(({ data }) => data.value),
      names
    )
  }
})

void t.test('an event is there before its answer, and its audit record before it', async (t) => {
  const daemon = await daemonOf(t)
  const reader = await readerOf(t, daemon)
  for (let round = 1; round <= 20; round++) {
    const before = reader.lastId
    expect(201, await daemon.post('/contexts', { xid: 100 }))
    // Whoever asks for what came after that place, when the answer is there, gets it.
    const late = await readerOf(t, daemon, '/events', { 'last-event-id': before })
    await late.has(1)
    t.match(late.events[0], { event: 'created', data: { xid: 100 } })
    late.close()
    expect(204, await daemon.delete('/contexts/100'))
    await reader.has(2 * round)
  }
  const audited = daemon.audit().map((record: { request_id: string }) => record.request_id)
  t.same(
    reader.events.filter(({ event }) => event === 'created').map(({ data }) => data.request_id),
    audited.filter((_id, at) => at % 2 === 0)
  )
})

void t.test('curl -N prints them as they come, and ends with the daemon', async (t) => {
  const daemon = await daemonOf(t)
  const client = spawn('curl', ['-sN', '--unix-socket', daemon.socket, 'http://localhost/events'])
  let text = ''
  client.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  const exited = once(client, 'exit')
  await until('the first message', () => /^id: /m.test(text))
  expect(201, await daemon.post('/contexts', { xid: 100, name: 'web1' }))
  await until('the event', () => text.includes('created'))
  t.match(
    text,
    /^retry: 1000\nid: [0-9a-f]+-0\n\nid: [0-9a-f]+-1\nevent: created\ndata: \{"type":"created","xid":100,.*\}\n\n$/
  )
  await daemon.stop()
  t.same(await exited, [0, null])
})

void t.test('a reader that comes back loses nothing and gets nothing twice, while 20 clients write', async (t) => {
  const daemon = await daemonOf(t)
  const ROUNDS = 40
  const all = await readerOf(t, daemon)
  const writer = async (client: number) => {
    const xid = 100 + client
    for (let round = 0; round < ROUNDS; round++) {
      expect(201, await daemon.post('/contexts', { xid }))
      expect(204, await daemon.delete(`/contexts/${xid}?grace=0`))
    }
  }
  const writing = Promise.all(Array.from({ length: 20 }, (_, client) => writer(client)))
  const seen: string[] = []
  let lastId = all.lastId
  let connections = 0
  const expected = 20 * ROUNDS * 2
  while (seen.length < expected) {
    const reader = await EventReader.open(daemon.socket, '/events', { 'last-event-id': lastId })
    connections++
    await reader.has(Math.min(50, expected - seen.length))
    reader.close()
    seen.push(...reader.events.map(({ id }) => id))
    lastId = reader.lastId
  }
  await writing
  await all.has(expected)
  t.same(
    seen,
    all.events.map(({ id }) => id)
  )
  t.notOk(all.types.includes('gap'))
  t.ok(connections > 1, `${connections} connections`)
  for (let client = 0; client < 20; client++)
    t.same(
      all.events.filter(({ data }) => data.xid === 100 + client).map(({ event }) => event),
      Array.from({ length: 2 * ROUNDS }, (_, at) => (at % 2 ? 'destroyed' : 'created'))
    )
})

void t.test('a place that is not in the history any more, or of another run, is told as a gap', async (t) => {
  const daemon = await daemonOf(t, ['--event-history', '1024'])
  const first = await readerOf(t, daemon)
  const start = first.lastId
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  for (let round = 1; round < 1040; round++)
    expect(200, await daemon.patch('/contexts/100/uname', { nodename: `n${round}` }))
  await first.has(1040)
  const expired = await readerOf(t, daemon, '/events', { 'last-event-id': start })
  await expired.has(1025)
  t.match(expired.events[0], { event: 'gap', data: { type: 'gap', reason: 'expired' } })
  t.same(expired.events.slice(1), first.events.slice(-1024))
  const byQuery = await readerOf(t, daemon, `/events?last_event_id=${first.events.at(-2)?.id}`)
  await byQuery.has(1)
  t.same(byQuery.events, first.events.slice(-1))
  await daemon.stop()
  await daemon.boot()
  for (const id of [first.lastId, 'nonsense', '999999999999-1']) {
    const other = await readerOf(t, daemon, '/events', { 'last-event-id': id })
    await other.has(1)
    t.match(other.events[0], { event: 'gap', data: { reason: 'unknown' } }, id)
  }
})

void t.test('only what is asked for is told, and nonsense is refused', async (t) => {
  const daemon = await daemonOf(t)
  const created = await readerOf(t, daemon, '/events?type=created,destroyed&xid=101&xid=102')
  const paused = await readerOf(t, daemon, '/events?type=paused')
  for (const xid of [100, 101, 102]) {
    expect(201, await daemon.post('/contexts', { xid }))
    expect(200, await daemon.patch(`/contexts/${xid}/flags`, { set: ['SCHED_PAUSE'] }))
    expect(204, await daemon.delete(`/contexts/${xid}?grace=0`))
  }
  await Promise.all([created.has(4), paused.has(3)])
  t.same(
    created.events.map(({ data }) => `${data.type} ${data.xid}`),
    ['created 101', 'destroyed 101', 'created 102', 'destroyed 102']
  )
  t.same(paused.types, ['paused', 'paused', 'paused'])
  for (const query of ['xid=1', 'xid=65536', 'xid=', 'xid=1,', 'xid=x', 'type=born', 'type=created,', 'colour=red']) {
    const reply = await daemon.get(`/events?${query}`)
    t.match(reply, { status: 400, body: { type: 'validation' } }, query)
  }
  t.match(await daemon.request('HEAD', '/events'), { status: 200, headers: { 'content-type': /^text\/event-stream/ } })
})

void t.test(
  'a user is told of the contexts that it may read, of their end too, until the policy is another',
  needsRoot(),
  async (t) => {
    const UID = 21_000
    const rules = [{ users: [UID], actions: ['read', 'create'], contexts: ['own', '150-159'] }]
    const everything = { users: [0], actions: ['read', 'create', 'destroy'], contexts: ['all'] }
    const daemon = await TestDaemon.start('memory', { policy: { rules: [...rules, everything] } })
    t.teardown(() => daemon.cleanUp())
    const url = 'http://localhost/events'
    const [program = '', ...through] = asUser(UID)
    const reader = spawn(program, [...through, 'curl', '-sN', '--unix-socket', daemon.socket, url])
    let text = ''
    reader.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    const exited = once(reader, 'exit')
    await until('the first message', () => text)
    for (const xid of [100, 150]) {
      expect(201, await daemon.post('/contexts', { xid }))
      expect(204, await daemon.delete(`/contexts/${xid}?grace=0`))
    }
    t.equal((await curl(daemon.socket, 'POST', '/contexts', { xid: 200 }, asUser(UID))).status, 201)
    expect(204, await daemon.delete('/contexts/200?grace=0'))
    await until('the end of its own', () => text.includes('"type":"destroyed","xid":200'))
    t.same(text.match(/(?<="type":)"\w+","xid":\d+/g), [
      '"created","xid":150',
      '"destroyed","xid":150',
      '"created","xid":200',
      '"destroyed","xid":200'
    ])
    process.kill(daemon.pid, 'SIGHUP')
    t.same(await exited, [0, null], 'a reload ends the stream')
  }
)

void t.test('a reader that does not read is dropped, and all others get everything', async (t) => {
  const daemon = await daemonOf(t, ['--event-history', '1024'])
  const others = await Promise.all([readerOf(t, daemon), readerOf(t, daemon), readerOf(t, daemon)])
  const slow = connect(daemon.socket)
  t.teardown(() => slow.destroy())
  slow.on('error', () => undefined)
  slow.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(slow, 'readable') // nothing reads on, so its buffers fill
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const total = 8000 // sockets and streams between the two have room for 2,500
  for (let made = 1; made < total;) {
    const from = made
    made = Math.min(made + 50, total)
    const writes = Array.from({ length: made - from }, (_, at) =>
      daemon.patch('/contexts/100/uname', { nodename: `n${from + at}`, release: 'r'.repeat(64) })
    )
    for (const reply of await Promise.all(writes)) expect(200, reply)
  }
  expect(204, await daemon.delete('/contexts/100?grace=0'))
  for (const other of others) await until('the last one', () => other.types.at(-1) === 'destroyed')
  for (const other of others) t.same(other.events, others[0].events)
  t.ok(others[0].events.length >= total)
  let received = ''
  slow.setEncoding('utf8').on('data', (text: string) => (received += text))
  await once(slow, 'close', { signal: AbortSignal.timeout(60_000) })
  t.match(received, /^event: created$/m)
  t.notMatch(received, /^event: destroyed$/m, 'its connection ended before that')
})

void t.test('500 readers all get everything; one more than there may be is asked to come back', async (t) => {
  const daemon = await daemonOf(t, ['--event-readers', '500'])
  const readers = await Promise.all(Array.from({ length: 500 }, () => readerOf(t, daemon)))
  t.match(await daemon.get('/events'), {
    status: 503,
    headers: { 'retry-after': /^\d+$/ },
    body: { type: 'busy' }
  })
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  for (let round = 1; round < 30; round++)
    expect(200, await daemon.patch('/contexts/100/uname', { nodename: `n${round}` }))
  await Promise.all(readers.map((reader) => reader.has(30)))
  const [first] = readers
  for (const reader of readers) t.same(reader.events, first?.events)
  first?.close()
  await until('a place is free', async () => {
    const reader = await EventReader.open(daemon.socket).catch(() => undefined)
    reader?.close()
    return reader
  })
})

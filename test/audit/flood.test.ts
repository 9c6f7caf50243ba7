/** What a client can do to the log without doing anything. */
import { statSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { asUser, curlAll, run } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { chainOf } from './support.js'

const USER = 23_456

async function started(t: Test, policy?: object, args: string[] = []): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { policy, args })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

void t.test(
  'refusals are counted beyond a few, whatever their status, and the path in a line is bounded',
  needsRoot(),
  async (t) => {
    const daemon = await started(
      t,
      {
        rules: [
          { users: ['root'], actions: ['all'], contexts: ['all'] },
          { users: [USER], actions: ['read', 'destroy', 'configure'], contexts: ['own'] }
        ]
      },
      ['--rate-limit', '0']
    )
    expect(201, await daemon.post('/contexts', { xid: 1000 }))
    const before = statSync(daemon.auditLog).size
    const long = 'a'.repeat(3000)
    const requests = [
      { method: 'DELETE', path: '/contexts/1000' },
      { method: 'DELETE', path: `/contexts/1000?${long}` },
      { method: 'DELETE', path: `/contexts/abc?${long}` },
      { method: 'PATCH', path: `/contexts/1000/uname?${long}`, body: {} },
      { method: 'PUT', path: `/contexts/1000/flags?${long}`, body: 7 }
    ]
    const answers = await curlAll(daemon.socket, Array.from({ length: 40 }, () => requests).flat(), asUser(USER))
    t.same([...new Set(answers.map(({ status }) => status))].sort(), [400, 404])
    const records = () => daemon.audit() as { caller?: { uid: number }; path: string; event?: string; count: number }[]
    const lines = records().filter(({ caller }) => caller?.uid === USER)
    t.ok(lines.length >= 50 && lines.length < 100, `${lines.length} of 200 have a line`)
    for (const { path } of lines) t.ok(path.length <= 520, `${path.length} characters`)
    t.ok(statSync(daemon.auditLog).size - before < 150_000)
    t.equal(await daemon.stop(), 0)
    const counted = records().filter(({ event }) => event === 'denials')
    t.equal(counted.reduce((sum, { count }) => sum + count, 0) + lines.length, 200, 'none is forgotten')
  }
)

void t.test('429 says when to come back', needsRoot(), async (t) => {
  const everybody = { rules: [{ users: ['*'], actions: ['all'], contexts: ['all'] }] }
  const daemon = await started(t, everybody, ['--rate-limit', '1'])
  const [file, ...args] = [...asUser(USER), 'curl', '-si', '--unix-socket', daemon.socket]
  const { stdout } = await run(file, [...args, ...Array<string>(10).fill('http://localhost/health')])
  const refused = stdout.split('HTTP/1.1 ').filter((answer) => answer.startsWith('429'))
  t.ok(refused.length > 0)
  for (const answer of refused) t.match(answer, /^retry-after: 1\r$/m)
})

void t.test('so does one that has its share', needsRoot(), async (t) => {
  const everybody = { rules: [{ users: ['*'], actions: ['all'], contexts: ['all'] }] }
  const daemon = await started(t, everybody, ['--waiters', '2'])
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const [file = '', ...args] = asUser(USER)
  const wait = () =>
    run(file, [...args, 'curl', '-si', '-X', 'POST', '--unix-socket', daemon.socket, 'http://d/contexts/100/wait'])
  const first = wait()
  await until('it waits', async () =>
    /^contextd_slots_used\{kind="waiters"\} 1$/m.test((await daemon.get('/metrics')).text)
  )
  t.match((await wait()).stdout, /^HTTP\/1\.1 429 .*^retry-after: 1\r$.*"type":"share"/ms)
  expect(204, await daemon.delete('/contexts/100?grace=0'))
  t.match((await first).stdout, /^HTTP\/1\.1 200 /)
})

void t.test('a client that hangs up is no failure of the daemon, on any route', async (t) => {
  const daemon = await started(t)
  expect(201, await daemon.post('/contexts', { xid: 100, flags: ['PERSISTENT'] }))
  // Long enough that its reading takes more than a moment.
  await daemon.stop()
  writeFileSync(daemon.auditLog, chainOf(40_000).lines.join(''))
  await daemon.boot()
  const requests = [
    ['GET', '/audit?limit=1000&xid=65000'],
    ['GET', '/contexts'],
    ['GET', '/contexts/100/log?follow=true'],
    ['GET', '/events'],
    ['GET', '/metrics'],
    ['GET', '/docs/static/swagger-ui-bundle.js'],
    ['POST', '/contexts/100/wait'],
    ['POST', '/contexts?wait'],
    ['POST', '/contexts/100/processes'],
    ['PUT', '/contexts/100']
  ] as const
  for (const [method, path] of requests)
    for (const sent of [0, 10, 30]) {
      const headers = method === 'GET' ? {} : { 'content-type': 'application/json', 'content-length': '40' }
      const call = request({ socketPath: daemon.socket, agent: false, method, path, headers })
      call.on('error', () => undefined)
      call.flushHeaders()
      const [socket] = (await once(call, 'socket')) as [Socket]
      if (socket.connecting) await once(socket, 'connect')
      if (method !== 'GET' && sent > 0) call.write('{"init":{"argv":["sleep","1000"]}}'.padEnd(40).slice(0, sent))
      await daemon.get('/health')
      call.destroy()
    }
  await until('nobody is left', async () => {
    const { text } = await daemon.get('/metrics')
    return /^contextd_slots_used\{kind="connections"\} [12]$/m.test(text)
  })
  t.equal(await daemon.stop(), 0)
  t.notMatch(daemon.stderr, /"level":"(error|fatal)"|daemon failed/)
})

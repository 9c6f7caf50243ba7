/** What a caller learns of contexts that it may not read: nothing. */
import t, { type Test } from 'tap'
import { Contexts } from '../../daemon/contexts/contexts.js'
import { MemoryDriver } from '../../daemon/drivers/memory/memory.js'
import { Events } from '../../daemon/events/events.js'
import { Access, type Grant } from '../../daemon/policy/access.js'
import { actions, type Action } from '../../daemon/schemas/policy.js'
import { asUser, curl, curlAll, run } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { EventReader } from '../support/sse.js'

const USER = 23_456
const OTHER = 23_457

async function started(t: Test, ...rules: object[]): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { policy: { rules } })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const root = { users: ['root'], actions: ['all'], contexts: ['all'] }
const ownOfAll = { users: ['*'], actions: ['all'], contexts: ['own'] }

void t.test('events are for whoever had the xid when they happened', needsRoot(), async (t) => {
  const daemon = await started(t, ownOfAll)
  const as = (uid: number, method: string, path: string, body?: object) =>
    curl(daemon.socket, method, path, body, uid === 0 ? [] : asUser(uid))
  for (const [xid, first, second] of [
    [100, USER, 0],
    [101, 0, USER]
  ] as const) {
    t.equal((await as(first, 'POST', '/contexts', { xid, name: `of ${first}` })).status, 201)
    t.equal((await as(first, 'DELETE', `/contexts/${xid}?grace=0`)).status, 204)
    t.equal((await as(second, 'POST', '/contexts', { xid, name: `of ${second}` })).status, 201)
  }
  const reader = await EventReader.open(daemon.socket, '/events', { 'last-event-id': 'another-1' })
  t.teardown(() => {
    reader.close()
  })
  t.equal((await as(0, 'DELETE', '/contexts/100?grace=0')).status, 204)
  await until('the last one', () => reader.events.filter(({ event }) => event === 'destroyed').length === 2)
  const names = reader.events.filter(({ event }) => event === 'created').map(({ data }) => [data.xid, data.name])
  t.same(names, [
    [100, 'of 0'],
    [101, 'of 0']
  ])
})

void t.test('a write with If-Match says nothing of the tag to who may not read', needsRoot(), async (t) => {
  const writer = { users: [USER], actions: ['configure', 'signal'], contexts: ['100-199'] }
  const daemon = await started(t, root, writer, { users: [USER], actions: ['read'], contexts: ['own'] })
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const etag = String((await daemon.get('/contexts/100')).headers.etag)
  const patch = (xid: number, headers: string[]) => ({
    method: 'PATCH',
    path: `/contexts/${xid}/uname`,
    body: { nodename: 'x' },
    headers
  })
  const answers = await curlAll(
    daemon.socket,
    [
      patch(100, [`if-match: ${etag}`]),
      patch(100, ['if-match: "other"']),
      patch(100, ['if-none-match: *']),
      patch(101, ['if-match: "other"']),
      patch(100, [])
    ],
    asUser(USER)
  )
  for (const { status, body } of answers.slice(0, 4))
    t.match({ status, body }, { status: 403, body: { type: 'forbidden', detail: /lacks the action read/ } })
  t.equal(answers[4]?.status, 200)
  const { stdout } = await run(asUser(USER)[0] ?? '', [
    ...asUser(USER).slice(1),
    'curl',
    ...['-si', '--unix-socket', daemon.socket, '-X', 'PATCH', '-H', 'content-type: application/json'],
    ...['-d', '{"nodename":"y"}', 'http://localhost/contexts/100/uname']
  ])
  t.match(stdout, /^HTTP\/1\.1 200 /)
  t.notMatch(stdout, /etag/i)
})

void t.test('counts of the daemon are for those who may read all', needsRoot(), async (t) => {
  const daemon = await started(t, root, ownOfAll)
  const metrics = async (through: string[]) =>
    (
      await run(
        [...through, 'curl'][0] ?? '',
        [...through, 'curl'].slice(1).concat(['-s', '--unix-socket', daemon.socket, 'http://localhost/metrics'])
      )
    ).stdout
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const names = (text: string) => new Set(Array.from(text.matchAll(/^([a-z_]+)/gm), ([name]) => name))
  t.same([...names(await metrics(asUser(USER)))], ['contextd_contexts'])
  t.match(await metrics(asUser(USER)), /^contextd_contexts\{state="setup"\} 0$/m)
  for (const name of [
    'contextd_audit_lines_total',
    'contextd_slots_used',
    'contextd_native_calls_total',
    'process_cpu_seconds_total'
  ])
    t.ok(names(await metrics([])).has(name), name)
})

const none: Grant = { all: false, own: false, ranges: [] }
const own: Grant = { all: false, own: true, ranges: [] }
const grants = (of: Grant) => Object.fromEntries(actions.map((action) => [action, of])) as Record<Action, Grant>

void t.test('an absent xid and one of another take the same questions', (t) => {
  const driver = new MemoryDriver()
  const contexts = new Contexts(driver, new Events((xid) => driver.ownerOf(xid)))
  driver.vx_create(100, { flags: 0n, owner: OTHER })
  driver.vx_create(101, { flags: 0n, owner: USER })
  let asked: string[] = []
  for (const name of ['details', 'exists', 'ownerOf', 'vx_info'] as const) {
    const call = driver[name].bind(driver) as (...args: unknown[]) => unknown
    Object.assign(driver, {
      [name]: (...args: unknown[]) => {
        asked.push(name)
        return call(...args)
      }
    })
  }
  const access = new Access(USER, grants(own), contexts.ownerOf)
  const questions = (xid: number) => {
    asked = []
    const may = access.may('configure', xid)
    const denied = may ? undefined : String(access.denied('configure', xid)).replaceAll(String(xid), 'XID')
    return { may, denied, asked }
  }
  t.same(questions(100), questions(102))
  t.equal(questions(100).may, false)
  t.equal(questions(101).may, true)
  t.ok(!questions(100).asked.includes('details'), 'the driver is asked for a context of its own alone')
  t.end()
})

void t.test('where one may neither create, read nor configure, PUT says the same of all xids', (t) => {
  const access = new Access(USER, grants(none), () => OTHER)
  t.equal(String(access.deniedToApply(100, true)), String(access.deniedToApply(100, false)))
  t.end()
})

void t.test('who may read a context and create others is told what it lacks to change that one', (t) => {
  const all: Grant = { ...none, all: true }
  const access = new Access(USER, { ...grants(none), read: all, create: all }, () => OTHER)
  t.match(access.deniedToApply(100, true), { status: 403, message: /lacks the action configure of context 100/ })
  t.equal(access.deniedToApply(100, false), undefined)
  const blind = new Access(USER, { ...grants(none), create: all }, () => OTHER)
  t.match(blind.deniedToApply(100, true), { code: 'EEXIST' })
  t.end()
})

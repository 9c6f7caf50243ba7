/** Who may do what: real users, by their uid and groups, over the real socket. */
import { appendFileSync, chmodSync, copyFileSync, lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Action } from '../../daemon/schemas/policy.js'
import { asUser, curl, curlAll, type CurlReply, type CurlRequest } from '../support/command.js'
import { TestDaemon, type StartOptions } from '../support/daemon.js'
import { expect, Guest } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

async function started(t: Test, options: StartOptions, driver = 'memory'): Promise<TestDaemon> {
  const daemon = await TestDaemon.start(driver, options)
  t.teardown(() => daemon.cleanUp())
  return daemon
}

/** Root's own rule comes first, for the tests' own requests. */
const policy = (...rules: object[]) => ({
  rules: [{ users: ['root'], actions: ['all'], contexts: ['all'] }, ...rules]
})
const forEverybody = { users: ['*'], actions: ['all'], contexts: ['all'] }

const get = (path: string): CurlRequest => ({ method: 'GET', path })
const post = (path: string, body?: unknown): CurlRequest => ({ method: 'POST', path, body })

/** A request for each action, which changes nothing that another one looks at. `audit` has no context in its path. */
const requestFor: Record<Exclude<Action, 'audit'>, (xid: number, free: number) => CurlRequest> = {
  read: (xid) => get(`/contexts/${xid}/flags`),
  create: (_xid, free) => post('/contexts?dry_run=true', { xid: free }),
  configure: (xid) => ({ method: 'PATCH', path: `/contexts/${xid}/uname`, body: { nodename: 'same' } }),
  signal: (xid) => post(`/contexts/${xid}/kill`, { signal: 0 }),
  execute: (xid) => post(`/contexts/${xid}/processes`, { argv: ['true'], capture: true }),
  destroy: (xid) => ({ method: 'DELETE', path: `/contexts/${xid}?dry_run=true` })
}
type Asked = keyof typeof requestFor
const asked = Object.keys(requestFor) as Asked[]

const successOf: Record<Asked, number> = {
  read: 200,
  create: 200,
  configure: 200,
  signal: 204,
  execute: 200,
  destroy: 200
}

void t.test('every action against every kind of rule', needsRoot(), async (t) => {
  const daemon = await started(t, { policy: policy(forEverybody) })
  const guest = { init: { argv: ['sleep', '100000'] } }
  for (const xid of [100, 300]) await daemon.post('/contexts', { xid, ...guest })

  const cases = (['all', '100-199', 'own'] as const).flatMap((contexts, kind) =>
    asked.flatMap((action, index) =>
      [[action], [...new Set([action, 'read'])]].map((granted, more) => {
        const uid = 20_000 + 100 * kind + 10 * index + more
        return { uid, own: 1000 + uid, contexts, granted }
      })
    )
  )
  // Each has a context of its own, made while everybody may.
  for (const { uid, own } of cases)
    t.equal((await curl(daemon.socket, 'POST', '/contexts', { xid: own, ...guest }, asUser(uid))).status, 201)
  daemon.writePolicy(
    policy(...cases.map(({ uid, granted, contexts }) => ({ users: [uid], actions: granted, contexts: [contexts] })))
  )
  await daemon.reload()

  for (const { uid, own, contexts, granted } of cases) {
    const targets = [
      { name: 'in the range', xid: 100, free: 101, isIn: contexts !== 'own' },
      { name: 'outside', xid: 300, free: 301, isIn: contexts === 'all' },
      { name: 'own', xid: own, free: own + 1000, isIn: contexts !== '100-199' }
    ]
    const rows = targets.flatMap((target) => asked.map((action) => ({ ...target, action })))
    const answers = await curlAll(
      daemon.socket,
      rows.map(({ action, xid, free }) => requestFor[action](xid, free)),
      asUser(uid)
    )
    const mayRead = granted.includes('read')
    rows.forEach(({ name, action, isIn, xid }, index) => {
      const what = `${granted.join('+')} on ${contexts}: ${action} ${name}`
      const answer = answers[index]
      // A context that is made is its maker's own.
      const covered = isIn || (action === 'create' && contexts === 'own')
      if (granted.includes(action) && covered) t.equal(answer?.status, successOf[action], what)
      else if (mayRead && !isIn && action !== 'create')
        t.same(
          answer,
          {
            status: 404,
            body: {
              type: 'esrch',
              title: 'Not Found',
              status: 404,
              detail: `there is no context ${xid}`,
              errno: 'ESRCH',
              call: 'vx_info',
              xid
            }
          },
          what
        )
      else t.match(answer, { status: 403, body: { type: 'forbidden', detail: `lacks the action ${action}` } }, what)
    })
    const [list] = await curlAll(daemon.socket, [get('/contexts')], asUser(uid))
    const visible = (list?.body as { contexts?: { xid: number }[] } | undefined)?.contexts?.map(({ xid }) => xid)
    const all = cases.map((other) => other.own)
    const expected = { all: [100, 300, ...all], '100-199': [100], own: [own] }[contexts]
    t.same(visible, mayRead ? expected : undefined, `${granted.join('+')} on ${contexts}: the list`)
  }
})

void t.test('users and groups are known by id and name, primary and supplementary', needsRoot(), async (t) => {
  const read = (who: object) => ({ ...who, actions: ['read'], contexts: ['all'] })
  const daemon = await started(t, {
    policy: policy(
      read({ users: [21_000] }),
      read({ users: ['daemon'] }),
      read({ groups: [21_001] }),
      read({ groups: ['games'] }),
      read({ users: [21_002], groups: [21_003] })
    )
  })
  const many = Array.from({ length: 300 }, (_, i) => 30_000 + i)
  const cases: [string, string[], boolean][] = [
    ['uid', asUser(21_000), true],
    ['name of a user', asUser(1), true],
    ['gid', asUser(21_009, 21_001), true],
    ['supplementary gid', asUser(21_009, 21_009, [21_008, 21_001]), true],
    ['supplementary gid after 300 others', asUser(21_009, 21_009, [...many, 60_000, 21_001]), true],
    ['300 other groups', asUser(21_009, 21_009, many), false],
    ['name of a group', asUser(21_009, 60), true],
    ['supplementary name of a group', asUser(21_009, 21_009, [60]), true],
    ['one of users or groups: user', asUser(21_002), true],
    ['one of users or groups: group', asUser(21_009, 21_003), true],
    ['a uid that is the gid of a rule', asUser(21_001, 21_009), false],
    ['a gid that is the uid of a rule', asUser(21_009, 21_000), false],
    ['nobody', asUser(65_534, 65_534), false]
  ]
  for (const [name, through, may] of cases)
    t.equal((await curl(daemon.socket, 'GET', '/contexts', undefined, through)).status, may ? 200 : 403, name)
})

void t.test('without a policy file root and the group contextd may do everything', needsRoot(), async (t) => {
  const gid = 21_500
  const group = join(tmpdir(), `contextd-group-${process.pid}`)
  copyFileSync('/etc/group', group)
  appendFileSync(group, `contextd:x:${gid}:\n`)
  t.teardown(() => {
    rmSync(group)
  })
  // The daemon's own view of /etc, so that the machine's stays as it is.
  const inOwnMounts = ['unshare', '--mount', 'sh', '-c', `mount --bind ${group} /etc/group && exec "$@"`, 'sh']
  const served = await started(t, { through: inOwnMounts })
  const file = lstatSync(served.socket)
  t.same([(file.mode & 0o777).toString(8), file.uid, file.gid], ['660', 0, gid])
  t.equal(lstatSync(join(served.directory, 'run')).gid, gid, 'the group may reach it')
  chmodSync(served.directory, 0o755)
  const member = asUser(21_501, 21_501, [gid])
  const answers = await curlAll(
    served.socket,
    [post('/contexts', { xid: 100 }), get('/contexts/100'), { method: 'DELETE', path: '/contexts/100' }],
    member
  )
  t.same(
    answers.map(({ status }) => status),
    [201, 200, 204]
  )
  t.match(answers[0], { body: { owner: 21_501 } })
  t.equal((await curl(served.socket, 'GET', '/', undefined, asUser(21_501))).status, 0, 'others cannot connect')
})

void t.test('what one may not read is not there', needsRoot(), async (t) => {
  const alice = asUser(22_000)
  const daemon = await started(t, {
    policy: policy(
      { users: [22_000], actions: ['read', 'create', 'configure', 'execute', 'destroy'], contexts: ['own'] },
      { users: [22_001], actions: ['create'], contexts: ['500-502', 600] },
      { users: [22_001], actions: ['read', 'configure', 'destroy'], contexts: ['own'] }
    )
  })
  const asAlice = (...requests: CurlRequest[]) => curlAll(daemon.socket, requests, alice)
  const guest = { flags: ['PERSISTENT'], init: { argv: ['sleep', '100000'] } }
  const hidden = expect<{ initpid: number }>(
    201,
    await daemon.post('/contexts', { xid: 100, name: 'secret', ...guest })
  )

  await t.test('neither by its words, its processes and its end, nor by a precondition', async (t) => {
    const paths = ['', '/info', '/stat', '/flags', '/bcaps', '/ccaps', '/uname', '/uname/nodename', '/processes']
    const about = (xid: number): CurlRequest[] => [
      ...paths.map((path) => get(`/contexts/${xid}${path}`)),
      post(`/contexts/${xid}/wait?timeout=0`),
      { method: 'DELETE', path: `/contexts/${xid}`, headers: ['if-match: "x"'] },
      { method: 'PATCH', path: `/contexts/${xid}/flags`, body: { set: ['PERSISTENT'] }, headers: ['if-match: *'] },
      post(`/contexts/${xid}/processes`, { argv: ['true'] })
    ]
    const text = (answers: CurlReply[]) =>
      answers.map((answer) => JSON.stringify(answer).replaceAll(/\b10[01]\b/g, 'N'))
    const [there, missing] = [await asAlice(...about(100)), await asAlice(...about(101))]
    t.ok(there.every(({ status }) => status === 404))
    t.same(text(there), text(missing), 'as of one that does not exist')
  })

  await t.test('neither by its processes nor by its name', async (t) => {
    const [task, none, list, named] = await asAlice(
      get(`/tasks/${hidden.initpid}`),
      get('/tasks/2147483647'),
      get('/contexts'),
      get('/contexts?name=secret')
    )
    t.match(task, { status: 404, body: { detail: `there is no process ${hidden.initpid}` } })
    t.same({ ...(none?.body as object), detail: '' }, { ...(task?.body as object), detail: '' })
    matches(t, list, { status: 200, body: { contexts: { length: 0 }, next: null } })
    t.match(named, { status: 200, body: { contexts: { length: 0 } } })
    matches(t, await asAlice(get(`/tasks/${process.pid}`)), [{ status: 200, body: { xid: 0 } }], "the host's are")
  })

  await t.test('a page of a list is full of what may be read', async (t) => {
    const made = await asAlice(...[150, 250, 350].map((xid) => post('/contexts', { xid })))
    t.same(
      made.map(({ status }) => status),
      [201, 201, 201]
    )
    for (const xid of [140, 160, 240, 260, 360]) await daemon.post('/contexts', { xid })
    const pages = await asAlice(get('/contexts?limit=2'), get('/contexts?limit=2&after=250'))
    const xids = pages.map(({ body }) => {
      const { contexts, next } = body as { contexts: { xid: number; owner: number }[]; next: number | null }
      return [contexts.map(({ xid }) => xid), next]
    })
    t.same(xids, [
      [[150, 250], 250],
      [[350], null]
    ])
  })

  await t.test('the end of one is told to its owner only, however late', async (t) => {
    for (const [xid, through] of [
      [700, alice],
      [701, []]
    ] as const) {
      await curl(daemon.socket, 'POST', '/contexts', { xid }, [...through])
      await curl(daemon.socket, 'DELETE', `/contexts/${xid}?grace=0`, undefined, [...through])
    }
    const [mine, other, never] = await asAlice(...[700, 701, 702].map((xid) => post(`/contexts/${xid}/wait`)))
    t.match(mine, { status: 200, body: { xid: 700 } })
    t.match(other, { status: 404, body: { type: 'esrch' } })
    t.equal(never?.status, 404)
    // The next context of that xid is somebody else's, and so is its end.
    await daemon.post('/contexts', { xid: 700 })
    await daemon.delete('/contexts/700?grace=0')
    matches(t, await asAlice(post('/contexts/700/wait')), [{ status: 404 }])
  })

  await t.test('a new context is made where the caller may, the lowest free xid of its ranges', async (t) => {
    await daemon.post('/contexts', { xid: 501 })
    const put = (xid: number): CurlRequest => ({ method: 'PUT', path: `/contexts/${xid}`, body: {} })
    const answers = await curlAll(
      daemon.socket,
      [
        post('/contexts', {}),
        post('/contexts', {}),
        put(502), // its own
        put(501), // root's, in the way
        put(600),
        put(100), // root's, outside
        put(101), // nobody's, outside
        post('/contexts', { xid: 501 }),
        post('/contexts', { xid: 100 }),
        post('/contexts', { xid: 101 }),
        post('/contexts', {}),
        { ...put(500), body: { init: { argv: ['sleep', '1000'] } } }
      ],
      asUser(22_001)
    )
    matches(t, answers, [
      { status: 201, body: { xid: 500, owner: 22_001 } },
      { status: 201, body: { xid: 502 } },
      { status: 200, body: { changed: [] } },
      { status: 409, body: { type: 'eexist', detail: 'context 501 exists' } },
      { status: 201, body: { xid: 600, owner: 22_001 } },
      { status: 403, body: { type: 'forbidden', detail: 'uid 22001 lacks the action create' } },
      { status: 403, body: { type: 'forbidden', detail: 'uid 22001 lacks the action create' } },
      { status: 409, body: { type: 'eexist', detail: 'context 501 exists' } },
      { status: 403, body: { type: 'forbidden', detail: /create/ } },
      { status: 403, body: { type: 'forbidden', detail: /create/ } },
      { status: 503, body: { type: 'enospc', detail: 'no free xid in 500..502, 600..600' } },
      { status: 403, body: { type: 'forbidden', detail: 'uid 22001 lacks the action execute of context 500' } }
    ])
  })

  await t.test('a key of another user is another key', async (t) => {
    const request: CurlRequest = { ...post('/contexts', { name: 'keyed' }), headers: ['idempotency-key: k'] }
    const [first] = await asAlice(request)
    const [again] = await asAlice(request)
    const [theirs] = await curlAll(daemon.socket, [request])
    const xid = (reply: CurlReply | undefined) => (reply?.body as { xid: number }).xid
    t.equal(xid(again), xid(first))
    t.not(xid(theirs), xid(first))
  })
})

void t.test('a context that changes hands while a body is on its way is not reached by it', needsRoot(), async (t) => {
  const uid = 22_100
  const daemon = await started(t, {
    policy: policy({ users: [uid], actions: ['read', 'create', 'configure', 'destroy'], contexts: ['own'] })
  })
  await curl(daemon.socket, 'POST', '/contexts', { xid: 100, name: 'first' }, asUser(uid))
  const body = JSON.stringify({ nodename: 'stolen' })
  const head = [
    'PATCH /contexts/100/uname HTTP/1.1',
    'host: x',
    'content-type: application/json',
    `content-length: ${body.length}`,
    'connection: close'
  ].join('\r\n')
  // The head goes now, the body when a line comes in.
  const script = `
    const [path, head, body] = process.argv.slice(1)
    const socket = require('node:net').connect(path, () => socket.write(head, () => console.log('sent')))
    socket.on('data', (data) => process.stdout.write(data))
    socket.on('close', () => process.exit())
    process.stdin.once('data', () => socket.write(body))`
  const [file = '', ...args]: string[] = [
    ...asUser(uid),
    process.execPath,
    '-e',
    script,
    daemon.socket,
    `${head}\r\n\r\n`,
    body
  ]
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await until('the head is sent', () => output.includes('sent'))
  await daemon.get('/health') // it was read by now
  await daemon.delete('/contexts/100?grace=0')
  await daemon.post('/contexts', { xid: 100, name: 'second', uname: { nodename: 'second' } })
  child.stdin.end('go\n')
  await until('the answer', () => output.includes('HTTP/1.1'))
  t.match(output, /HTTP\/1\.1 404 /)
  t.match(await daemon.get('/contexts/100'), { body: { name: 'second', owner: 0, uname: { nodename: 'second' } } })
})

void t.test(
  'the audit log shows a caller what its grants are about, and nothing of who had the xid before',
  needsRoot(),
  async (t) => {
    const [first, second, watcher] = [23_200, 23_201, 23_202]
    const daemon = await started(t, {
      policy: policy(
        { users: [first, second], actions: ['all'], contexts: ['own'] },
        { users: [watcher], actions: ['audit'], contexts: ['100-199'] }
      )
    })
    const lines = async (uid: number) => {
      const { status, body } = await curl(daemon.socket, 'GET', '/audit', undefined, asUser(uid))
      t.equal(status, 200)
      const { records } = body as { records: { method: string; xid: number; caller: { uid: number } }[] }
      return records.map(({ method, xid, caller }) => `${caller.uid} ${method} ${xid}`)
    }
    const create = post('/contexts', { xid: 100 })
    const destroy = { method: 'DELETE', path: '/contexts/100?grace=0' }
    const hostname = { method: 'PATCH', path: '/contexts/100/uname', body: { nodename: 'by-root' } }
    await curlAll(daemon.socket, [create], asUser(first))
    await curlAll(daemon.socket, [destroy, post('/contexts', { xid: 200 })], asUser(first))
    await curlAll(daemon.socket, [create], asUser(second))
    await curlAll(daemon.socket, [hostname])
    t.same(await lines(first), [`${first} POST 200`])
    t.same(await lines(second), [`${second} POST 100`, '0 PATCH 100'])
    t.same(await lines(watcher), [`${first} POST 100`, `${first} DELETE 100`, `${second} POST 100`, '0 PATCH 100'])
  }
)

void t.test('two sockets have a policy, a mode and a group each', needsRoot(), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const other = join(directory, 'run', 'panel.sock')
  const otherPolicy = join(directory, 'panel.json')
  chmodSync(directory, 0o755)
  writeFileSync(otherPolicy, JSON.stringify({ rules: [{ users: ['*'], actions: ['read'], contexts: ['100-199'] }] }))
  const both = await started(t, {
    policy: policy(forEverybody),
    args: ['--socket', `${other},mode=0606,group=games,policy=${otherPolicy}`]
  })
  const { mode, gid } = lstatSync(other)
  t.same([(mode & 0o777).toString(8), gid], ['606', 60])
  await both.post('/contexts', { xid: 100 })
  await both.post('/contexts', { xid: 300 })
  for (const through of [[], asUser(23_000)]) {
    const [list, missing, denied] = await curlAll(
      other,
      [get('/contexts'), get('/contexts/300'), { method: 'DELETE', path: '/contexts/100' }],
      through
    )
    matches(t, list, { status: 200, body: { contexts: [{ xid: 100 }] } })
    t.equal(missing?.status, 404)
    t.match(denied, { status: 403, body: { detail: /destroy of context 100/ } })
    t.match(await curl(both.socket, 'GET', '/contexts', undefined, through), { body: { contexts: { length: 2 } } })
  }
  writeFileSync(otherPolicy, JSON.stringify({ rules: [] }))
  await both.reload()
  t.equal((await curl(other, 'GET', '/contexts')).status, 403, 'each is reloaded')
  t.equal((await curl(both.socket, 'GET', '/contexts')).status, 200)
  t.equal(await both.stop(), 0)
  t.throws(() => lstatSync(other), { code: 'ENOENT' })
})

void t.test(
  'the uid of the creator is kept by a context of namespaces, for the next daemon too',
  needsRoot(),
  async (t) => {
    const uid = 24_000
    const daemon = await started(
      t,
      { policy: policy({ users: [uid], actions: ['all'], contexts: ['own'] }) },
      'namespaces'
    )
    const [mine] = await curlAll(daemon.socket, [post('/contexts', { name: 'mine' })], asUser(uid))
    await daemon.post('/contexts', { name: "root's" })
    t.match(mine, { status: 201, body: { owner: uid } })
    await daemon.stop('SIGKILL')
    await daemon.boot()
    const list = await curl(daemon.socket, 'GET', '/contexts', undefined, asUser(uid))
    matches(t, list.body, { contexts: [{ name: 'mine', owner: uid }] })
    t.equal((list.body as { contexts: object[] }).contexts.length, 1)
    const { xid } = mine?.body as { xid: number }
    t.equal((await curl(daemon.socket, 'DELETE', `/contexts/${xid}?grace=0`, undefined, asUser(uid))).status, 204)
  }
)

void t.test('a policy is reloaded by SIGHUP while requests go on, on open connections too', needsRoot(), async (t) => {
  const uid = 25_000
  const open = policy({ users: [uid], actions: ['read'], contexts: ['all'] })
  const daemon = await started(t, { policy: open })
  await daemon.post('/contexts', { xid: 100 })
  let over = false
  const seen = new Set<number>()
  const load = Array.from({ length: 4 }, async () => {
    while (!over)
      for (const { status } of await curlAll(
        daemon.socket,
        Array(20).fill(get('/contexts/100')) as CurlRequest[],
        asUser(uid)
      ))
        seen.add(status)
  })
  const own = Array.from({ length: 8 }, async () => {
    while (!over) t.equal((await daemon.get('/contexts/100')).status, 200)
  })
  for (const next of [policy(), open, '{"rules":[', policy(), open, policy()]) {
    daemon.writePolicy(next)
    await daemon.reload()
  }
  over = true
  await Promise.all([...load, ...own])
  t.same(
    [...seen].filter((status) => status !== 200 && status !== 403),
    []
  )
  t.match(daemon.stderr, /policy\.json:1:11: /, 'the one that is no JSON is told')
  t.equal((await curl(daemon.socket, 'GET', '/contexts/100', undefined, asUser(uid))).status, 403)
})

void t.test('a DELETE that had to wait for another change asks again whose the context is', needsRoot(), async (t) => {
  const mayMakeAndEnd = { users: [1500], actions: ['create', 'read', 'destroy'], contexts: ['own'] }
  const daemon = await started(t, { policy: policy(mayMakeAndEnd) }, 'namespaces')
  // Is asked to end, and does so when it is let.
  const ends = 'trap "while [ ! -e /tmp/go ]; do sleep 0.01; done; exit 0" TERM; echo; while :; do sleep 0.01; done'
  const argv = ['/bin/sh', '-c', ends]
  t.equal((await curl(daemon.socket, 'POST', '/contexts', { xid: 700, init: { argv } }, asUser(1500))).status, 201)
  await until('it traps the signal', async () => (await daemon.get('/contexts/700/log')).text !== '')
  const { initpid } = await new Guest(daemon, 700).context()
  const first = daemon.delete('/contexts/700?grace=300')
  await until('it is stopping', async () => (await new Guest(daemon, 700).context()).state === 'stopping')
  const made = daemon.put('/contexts/700', { name: "root's" })
  const underWay = (count: number) =>
    until(`${count} requests are under way`, async () => {
      const { text } = await daemon.get('/metrics') // which is one more
      return text.includes(`contextd_slots_used{kind="requests"} ${count + 1}\n`)
    })
  await underWay(2)
  const late = curl(daemon.socket, 'DELETE', '/contexts/700?grace=0', undefined, asUser(1500))
  await underWay(3)
  writeFileSync(`/proc/${initpid}/root/tmp/go`, '')
  t.equal((await first).status, 204)
  t.equal((await made).status, 201)
  t.match(await late, { status: 404, body: { errno: 'ESRCH' } })
  matches(t, await daemon.get('/contexts/700'), { status: 200, body: { name: "root's", owner: 0 } })
})

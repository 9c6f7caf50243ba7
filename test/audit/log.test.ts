/** Each write is one line of the audit log, and says what was done without saying secrets. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AuditRecord as Record } from '../../daemon/audit/record.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'

type AuditRecord = Record & { seq: number; time: string }

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
})
t.teardown(() => daemon.cleanUp())

const text = () => readFileSync(daemon.auditLog, 'utf8')

/** The records that `work` makes. */
async function recordsOf(work: () => Promise<unknown>): Promise<AuditRecord[]> {
  const before = text().length
  await work()
  const added = text().slice(before)
  return added === ''
    ? []
    : added
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as AuditRecord)
}

async function context(t: Test, xid: number, body: object = {}): Promise<string> {
  await daemon.post('/contexts', { xid, ...body })
  t.teardown(async () => {
    await daemon.delete(`/contexts/${xid}?grace=0`)
  })
  return `/contexts/${xid}`
}

const caller = { uid: process.getuid?.(), gid: process.getgid?.(), pid: process.pid, executable: process.execPath }

void t.test('a write is one line with time, caller, method, path, xid, calls and status', async (t) => {
  const begun = Date.now()
  const body = {
    xid: 100,
    name: 'web1',
    flags: ['PERSISTENT'],
    ccaps: ['SET_UTSNAME'],
    uname: { nodename: 'n' },
    init: { argv: ['/bin/sleep', '1000'] }
  }
  const records = await recordsOf(() => daemon.post('/contexts?unsupported=record', body))
  t.equal(records.length, 1)
  const [record] = records
  t.match(record, { caller, method: 'POST', path: '/contexts?unsupported=record', xid: 100, status: 201 })
  const time = Date.parse(record?.time ?? '')
  t.ok(time >= begun && time <= Date.now())
  t.same(
    record?.calls.map(({ call }) => call),
    ['vx_create', 'vx_bcaps_set', 'vx_ccaps_set', 'vx_uname_set', 'vx_uname_set', 'vx_migrate']
  )
  for (const { errno, args } of record?.calls ?? []) t.same([errno, args[0]], [null, 100])
  t.same(
    record?.calls[0]?.args,
    [100, { flags: '0x0000004700000000', owner: caller.uid }],
    'words are written as the API shows them'
  )
  t.same(record?.calls.at(-1)?.args[1], {
    flags: '0x0000000000000003',
    process: {
      argv: ['/bin/sleep', '1000'],
      env: ['PATH', 'HOME', 'TERM'],
      cwd: '/',
      uid: 0,
      gid: 0,
      groups: []
    },
    capture: false
  })
  matches(t, await recordsOf(() => daemon.delete('/contexts/100?grace=0')), [
    {
      method: 'DELETE',
      xid: 100,
      status: 204,
      calls: [{ call: 'vx_flags_set' }, { call: 'vx_kill', args: [100, 0, 15], errno: null }]
    }
  ])
})

void t.test('the line is there before the answer is', async (t) => {
  await context(t, 101)
  for (let round = 0; round < 20; round++) {
    const before = text().length
    await daemon.patch('/contexts/101/uname', { nodename: `n${round}` })
    t.match(text().slice(before), new RegExp(`"n${round}"`))
  }
})

void t.test('values of the environment and input are never written, their names are', async (t) => {
  const path = await context(t, 102)
  const secret = 'hunter2-secret-value'
  const records = await recordsOf(async () => {
    await daemon.post(`${path}/processes`, {
      argv: ['/bin/cat'],
      env: { PASSWORD: secret },
      capture: true,
      stdin: `${secret} on stdin`
    })
    await daemon.post(`${path}/processes`, { argv: ['/nowhere'], env: { PASSWORD: secret } })
    await daemon.put(path, { init: { argv: ['/bin/sleep', '1'], env: { PASSWORD: secret } } })
    await daemon.post('/contexts', { xid: 103, init: { argv: ['/nowhere'], env: { PASSWORD: secret } } })
  })
  t.equal(records.length, 4)
  t.notMatch(JSON.stringify(records), secret)
  for (const { calls } of records) t.match(JSON.stringify(calls), /"env":\[[^\]]*"PASSWORD"/)
  matches(t, records[0]?.calls, [{ args: [102, { capture: true }] }])
})

void t.test('a write that fails has the errno, the native call under it and its status', async (t) => {
  const path = await context(t, 104)
  matches(t, await recordsOf(() => daemon.post(`${path}/processes`, { argv: ['/nowhere'] })), [
    { status: 422, xid: 104, calls: [{ call: 'vx_migrate', errno: 'ENOENT', native: 'execve' }] }
  ])
  matches(t, await recordsOf(() => daemon.post(`${path}/kill`, { signal: 'SIGTERM' })), [
    { status: 404, xid: 104, calls: [{ call: 'vx_kill', args: [104, 0, 15], errno: 'ESRCH' }] }
  ])
})

void t.test('a creation that is undone shows every call, the undoing too', async (t) => {
  const records = await recordsOf(() => daemon.post('/contexts', { xid: 105, init: { argv: ['/nowhere'] } }))
  matches(t, records, [{ status: 422 }])
  const calls = records[0]?.calls.map(({ call, errno }) => [call, errno])
  t.same(calls, [
    ['vx_create', null],
    ['vx_bcaps_set', null],
    ['vx_migrate', 'ENOENT'],
    ['vx_flags_set', null],
    ['vx_kill', 'ESRCH']
  ])
})

void t.test('a refused write is a line too, with the xid that was meant', async (t) => {
  const path = await context(t, 106)
  matches(t, await recordsOf(() => daemon.post('/contexts', { xid: 106 })), [
    { status: 409, method: 'POST', xid: 106, calls: [] }
  ])
  matches(t, await recordsOf(() => daemon.put(`${path}/flags`, { names: ['NONSENSE'] })), [
    { status: 400, xid: 106, calls: [] }
  ])
  matches(t, await recordsOf(() => daemon.put(`${path}/flags`, { colour: 'red' })), [
    { status: 400, xid: 106, calls: [] }
  ])
  matches(t, await recordsOf(() => daemon.delete('/contexts/999')), [{ status: 404, xid: 999, calls: [] }])
  matches(t, await recordsOf(() => daemon.post('/contexts', undefined, { raw: '{' })), [{ status: 400, calls: [] }])
  matches(t, await recordsOf(() => daemon.delete(path, { headers: { 'if-match': '"other"' } })), [
    { status: 412, xid: 106, calls: [] }
  ])
})

void t.test('reads, waits and questions about methods make no line', async (t) => {
  const path = await context(t, 107)
  const records = await recordsOf(async () => {
    for (const below of ['', '/info', '/stat', '/flags', '/uname', '/processes']) await daemon.get(path + below)
    await daemon.request('HEAD', path)
    await daemon.post(`${path}/wait?timeout=0`)
    await daemon.get('/contexts/999')
    await daemon.request('OPTIONS', path)
    await daemon.post('/nothing', {})
  })
  t.same(records, [])
})

void t.test('a dry run is a line without calls', async (t) => {
  const path = await context(t, 108)
  const records = await recordsOf(async () => {
    matches(t, await daemon.put(`${path}?dry_run=true`, { uname: { nodename: 'other' } }), {
      status: 200,
      body: { changed: ['uname.nodename'] }
    })
    await daemon.patch(`${path}/bcaps?dry_run=true`, { clear: ['CHOWN'] })
    await daemon.delete(`${path}?dry_run=true`)
    await daemon.post('/contexts?dry_run=true', { xid: 109 })
  })
  matches(t, records, [{ calls: [] }, { calls: [] }, { calls: [] }, { calls: [] }])
  t.same(
    records.map(({ xid, status }) => [xid, status]),
    [
      [108, 200],
      [108, 200],
      [108, 200],
      [109, 200]
    ]
  )
})

void t.test('a write that changes nothing is a line without calls', async (t) => {
  const path = await context(t, 110, { uname: { nodename: 'same' } })
  matches(t, await recordsOf(() => daemon.patch(`${path}/uname`, { nodename: 'same' })), [{ status: 200, calls: [] }])
})

void t.test('text that the client chose cannot forge a line', async (t) => {
  const path = await context(t, 111)
  const records = await recordsOf(async () => {
    await daemon.patch(`${path}/uname`, { nodename: 'a"}\n{"time":"forged"}\u2028' })
    await daemon.get('/x')
    await daemon.delete('/contexts/111?signal=%0a%7B%22time%22')
  })
  t.equal(records.length, 2)
  matches(t, records, [{ status: 200 }, { status: 400 }])
})

void t.test('the log outlives its daemon, is appended to and is not for others to read', async (t) => {
  const own = await TestDaemon.start('memory')
  t.teardown(() => own.cleanUp())
  await own.post('/contexts', { xid: 100 })
  await own.stop()
  await own.boot()
  await own.post('/contexts', { xid: 101 })
  t.same(
    own.audit().map((record) => (record as AuditRecord).xid),
    [100, 101]
  )
  t.equal(statSync(own.auditLog).mode & 0o027, 0, 'no write for the group, nothing for others')
})

void t.test('a daemon whose log cannot be written does not start', async (t) => {
  const args = [
    '--driver',
    'memory',
    '--socket',
    join(daemon.directory, 'x.sock'),
    '--audit-log',
    join(daemon.socket, 'below', 'audit.log')
  ]
  const { code, stderr } = await contextd(['serve', ...args])
  t.equal(code, 1)
  t.match(stderr, /audit\.log|ENOTDIR/)
})

void t.test('a log that is no regular file is refused at the start', async (t) => {
  const { code, stderr } = await contextd(['serve', '--driver', 'memory', '--audit-log', '/dev/full'])
  t.equal(code, 1)
  t.match(stderr, /\/dev\/full is not a regular file/)
})

void t.test('what a write has changed is there before and after, with names', async (t) => {
  const [creation] = await recordsOf(() =>
    daemon.post('/contexts', { xid: 112, name: 'a', ccaps: ['SET_UTSNAME'], bcaps: ['CHOWN'] })
  )
  t.teardown(() => daemon.delete('/contexts/112?grace=0'))
  matches(t, creation, {
    action: 'create',
    problem: null,
    changes: [
      { what: 'flags', before: null, after: { names: ['PERSISTENT'] } },
      { what: 'bcaps', before: null, after: { value: '0x0000000000000001', names: ['CHOWN'] } },
      { what: 'ccaps', before: null, after: { names: ['SET_UTSNAME'] } },
      { what: 'uname.context', before: null, after: 'a' }
    ]
  })
  matches(t, await recordsOf(() => daemon.patch('/contexts/112/bcaps', { set: ['KILL'] })), [
    {
      action: 'configure',
      changes: [
        {
          what: 'bcaps',
          before: { value: '0x0000000000000001', names: ['CHOWN'] },
          after: { value: '0x0000000000000021', names: ['CHOWN', 'KILL'] }
        }
      ]
    }
  ])
  matches(t, await recordsOf(() => daemon.put('/contexts/112', { name: 'b', flags: ['PERSISTENT', 'INFO_PRIVATE'] })), [
    {
      changes: [
        { what: 'uname.context', before: 'a', after: 'b' },
        {
          what: 'flags',
          before: { unknown: /^0x/ },
          after: { names: ['INFO_PRIVATE', 'STATE_SETUP', 'STATE_INIT', 'STATE_ADMIN', 'PERSISTENT'] }
        }
      ]
    }
  ])
  for (const [before, after] of [
    [null, 9],
    [9, 10],
    [10, null]
  ])
    matches(t, await recordsOf(() => daemon.patch('/contexts/112/limits', { pids_max: after })), [
      { action: 'configure', changes: [{ what: 'limits.pids_max', before, after }] }
    ])
  matches(t, await recordsOf(() => daemon.put('/contexts/112/bcaps', { names: ['NONSENSE'] })), [
    { status: 400, problem: 'validation', changes: [] }
  ])
})

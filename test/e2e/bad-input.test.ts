/** Everything a client can get wrong, each time with the answer it gets, on every driver that runs here. */
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { isIdle, needsRoot } from '../support/proc.js'
import { realDrivers, startOf } from '../support/real.js'

const invalid = (detail: RegExp) => ({ status: 400, body: { type: 'validation', status: 400, detail } })

for (const driver of ['memory', ...realDrivers] as const) {
  const options = () => (driver === 'memory' ? { skip: false } : needsRoot())
  const on = (sentence: string) => `${driver}: ${sentence}`

  let daemon: TestDaemon
  let pid: number
  t.before(async () => {
    if (options().skip) return
    daemon = await TestDaemon.start(driver, driver === 'memory' ? {} : startOf(driver))
    pid = daemon.pid
  })
  t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

  const create = (body: object) => daemon.post('/contexts', { flags: ['PERSISTENT'], ...body })
  const usecnt = async (xid: number) => ((await daemon.get(`/contexts/${xid}/stat`)).body as { usecnt: number }).usecnt
  const isMissing = async (xid: number) => (await daemon.get(`/contexts/${xid}`)).status === 404

  for (const xid of ['0', '1', '65536', 'abc', '1e3', '-1', '007', '+7', '7.0', '0x10', '%207', '9'.repeat(30)]) {
    void t.test(on(`xid ${xid} in a path is refused, whatever the method`), options(), async (t) => {
      for (const [method, body] of [['GET'], ['PUT', {}], ['DELETE']] as const)
        t.match(await daemon.request(method, `/contexts/${xid}`, body), invalid(/^path\.xid /), method)
    })
  }

  for (const xid of [
    '0',
    '1',
    '65536',
    '-1',
    '1e3',
    '1E3',
    '2.5',
    '"abc"',
    '"100"',
    'null',
    'true',
    '[100]',
    '1e999',
    '123456789012345678901'
  ]) {
    void t.test(on(`xid ${xid} in a body is refused`), options(), async (t) => {
      const answer = await daemon.post('/contexts', undefined, { raw: `{"xid":${xid},"flags":["PERSISTENT"]}` })
      t.match(answer, invalid(/xid|exponent/))
    })
  }

  void t.test(on('an xid that exists is refused and stays as it was'), options(), async (t) => {
    const guest = await guestOf(t, daemon, { xid: 100, name: 'first' })
    t.match(await create({ xid: 100, name: 'second' }), { status: 409, body: { errno: 'EEXIST', xid: 100 } })
    t.equal((await guest.context()).name, 'first')
  })

  void t.test(on('an unknown flag name is refused with the name that is near'), options(), async (t) => {
    t.match(await create({ xid: 101, flags: ['PERSISTANT'] }), invalid(/PERSISTANT.*did you mean PERSISTENT\?/))
    t.match(await create({ xid: 101, flags: ['qqqqqqqqqq'] }), invalid(/qqqqqqqqqq/))
    t.match(await create({ xid: 101, bcaps: ['CAP_CHOWM'] }), invalid(/CAP_CHOWM.*CHOWN/))
    t.match(await create({ xid: 101, flags: ['STATE_SETUP', 'PERSISTENT'] }), invalid(/STATE_/))
    t.ok(await isMissing(101))
  })

  void t.test(on('a word has at most 16 digits'), options(), async (t) => {
    const digits = '0x00000000000000001'
    t.match(await create({ xid: 102, flags: digits }), invalid(/flags/))
    const guest = await guestOf(t, daemon, { xid: 102 })
    for (const value of [digits, '70', 'ff', '0x', '0xg', ' 0x1', '-0x1', ''])
      t.match(await daemon.put(`${guest.path}/bcaps`, { value }), invalid(/value/), JSON.stringify(value))
    for (const value of [70, null, 1e20])
      t.match(await daemon.put(`${guest.path}/bcaps`, { value }), invalid(/./), String(value))
    t.match(await daemon.patch(`${guest.path}/bcaps`, { value: '0x1' }), invalid(/mask/), 'a value without its mask')
    t.match(await daemon.patch(`${guest.path}/bcaps`, { set: ['CHOWN'], clear: ['CHOWN'] }), invalid(/CHOWN/))
    t.match(await daemon.put(`${guest.path}/bcaps`, { names: [], value: '0x0' }), invalid(/./))
  })

  void t.test(on('a uname has at most 64 bytes of UTF-8, and no NUL'), options(), async (t) => {
    const bad = ['x'.repeat(65), 'é'.repeat(64), `${'é'.repeat(32)}x`, '€'.repeat(22), 'a\0b', '\0', '\ud800']
    for (const nodename of bad) {
      t.match(await create({ xid: 103, uname: { nodename } }), invalid(/uname\.nodename/), JSON.stringify(nodename))
      t.match(await create({ xid: 103, name: nodename }), invalid(/name/), JSON.stringify(nodename))
    }
    t.ok(await isMissing(103))
    const guest = await guestOf(t, daemon, { xid: 103 })
    for (const value of bad) t.match(await daemon.put(`${guest.path}/uname/nodename`, { value }), invalid(/./))
    t.match(await daemon.patch(`${guest.path}/uname`, { nodename: 7 }), invalid(/nodename/))
    t.match(await daemon.patch(`${guest.path}/uname`, { nodnam: 'x' }), invalid(/nodnam/))
    t.match(await daemon.get(`${guest.path}/uname/nodnam`), invalid(/field/))
  })

  void t.test(on('64 bytes are kept whole, multi-byte characters too'), options(), async (t) => {
    const guest = await guestOf(t, daemon)
    for (const value of ['x'.repeat(64), 'é'.repeat(32), '€'.repeat(21) + 'x', '']) {
      t.equal((await daemon.put(`${guest.path}/uname/nodename`, { value })).status, 200)
      t.match(await daemon.get(`${guest.path}/uname/nodename`), { body: { value } })
    }
    const name = '€'.repeat(21) + 'x'
    t.equal((await daemon.put(`${guest.path}/uname/context`, { value: name })).status, 200)
    t.equal((await guest.context()).name, name)
  })

  void t.test(on('argv is not empty, not ten thousand long and has no NUL'), options(), async (t) => {
    const tenThousand = Array.from({ length: 10_000 }, () => 'x')
    const guest = await guestOf(t, daemon)
    for (const argv of [[], tenThousand, ['/bin/true\0'], ['/bin/true', 'a\0b'], [7], '/bin/true', null]) {
      t.match(await create({ xid: 104, init: { argv } }), invalid(/init/))
      t.match(await daemon.post(`${guest.path}/processes`, { argv }), invalid(/argv/))
    }
    t.match(await daemon.post(`${guest.path}/processes`, {}), invalid(/argv/))
    for (const more of [
      { env: { 'A=B': 'c' } },
      { env: { A: 'b\0' } },
      { env: { '': 'x' } },
      { cwd: 'relative' },
      { user: { uid: -1 } },
      { user: {} }
    ])
      t.match(
        await daemon.post(`${guest.path}/processes`, { argv: ['/bin/true'], ...more }),
        invalid(/./),
        JSON.stringify(more)
      )
    t.ok(await isMissing(104))
    t.equal((await guest.context()).state, 'setup')
  })

  void t.test(on('one argument of ten thousand bytes is nothing special'), options(), async (t) => {
    const guest = await guestOf(t, daemon)
    const long = 'x'.repeat(10_000)
    t.equal((await guest.capture(['/bin/echo', long])).stdout, `${long}\n`)
  })

  void t.test(
    on('a command that does not exist is the ENOENT of its exec, and nothing is left'),
    options(),
    async (t) => {
      const missing = { status: 422, body: { errno: 'ENOENT', call: 'execve', type: 'enoent' } }
      t.match(await create({ xid: 105, init: { argv: ['/nowhere/at-all'] } }), missing)
      t.ok(await isMissing(105))
      t.match(await daemon.post('/contexts?wait', { xid: 105, init: { argv: ['no-such-command'] } }), missing)
      t.ok(await isMissing(105))
      const guest = await guestOf(t, daemon, { xid: 105 })
      t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/nowhere/at-all'] }), missing)
      t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/nowhere/at-all'], capture: true }), missing)
      t.match(await daemon.put(guest.path, { init: { argv: ['/nowhere/at-all'] } }), missing)
      t.match(await guest.context(), { initpid: 0 })
      t.same(await guest.processes(), [])
    }
  )

  void t.test(
    on('a root is an absolute path of a directory, with no symbolic link on the way'),
    options(),
    async (t) => {
      const at = (name: string) => join(daemon.directory, name)
      mkdirSync(at('real/inner'), { recursive: true })
      writeFileSync(at('file'), '')
      symlinkSync(at('real'), at('link'))
      symlinkSync('/', at('out'))
      const refused = [
        [at('file'), 422, 'ENOTDIR'],
        [at('link'), 422, 'ELOOP'],
        [at('out'), 422, 'ELOOP'],
        [at('link/inner'), 422, 'ELOOP'],
        [at('missing'), 422, 'ENOENT'],
        [at('file/below'), 422, 'ENOTDIR']
      ] as const
      for (const [root, status, errno] of refused)
        t.match(await create({ xid: 106, root }), { status, body: { errno, call: /^openat2?$/ } }, root)
      for (const root of ['relative', './real', '', `${at('real')}\0`, '/'.repeat(5000), 7])
        t.match(await create({ xid: 106, root }), invalid(/root/), JSON.stringify(root).slice(0, 20))
      t.ok(await isMissing(106))
      t.equal((await guestOf(t, daemon, { xid: 106, root: at('real/inner') })).xid, 106)
      t.match(await daemon.put('/contexts/106', { root: at('real') }), { status: 409, body: { type: 'root-differs' } })
    }
  )

  void t.test(on('broken JSON is refused'), options(), async (t) => {
    for (const raw of ['{', '{"xid":}', '{"xid":1,}', 'xid=1', '{"xid":100}}', '\u0000', '\ufeff{}', "{'xid':100}"])
      t.match(await daemon.post('/contexts', undefined, { raw }), { status: 400, body: { type: 'invalid-json' } }, raw)
    for (const raw of ['[]', '"text"', '7', 'null', 'true', ''])
      t.match(await daemon.post('/contexts', undefined, { raw }), { status: 400, body: { status: 400 } }, raw)
  })

  void t.test(on('JSON cannot reach the prototypes of the daemon'), options(), async (t) => {
    for (const raw of [
      '{"__proto__":{"xid":100}}',
      '{"constructor":{"prototype":{}}}',
      '{"uname":{"__proto__":{"nodename":"x"}}}'
    ])
      t.match(await daemon.post('/contexts', undefined, { raw }), { status: 400 }, raw)
  })

  void t.test(on('a body that is not application/json is 415'), options(), async (t) => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/xml',
      'multipart/form-data; boundary=x',
      'nonsense'
    ])
      t.match(
        await daemon.post('/contexts', undefined, { raw: '{}', headers: { 'content-type': type } }),
        { status: 415, headers: { 'content-type': /^application\/problem\+json/ }, body: { type: 'media-type' } },
        type
      )
    const charset = { raw: '{"xid":1}', headers: { 'content-type': 'application/json; charset=utf-8' } }
    t.match(await daemon.post('/contexts', undefined, charset), invalid(/xid/), 'a charset is fine')
  })

  void t.test(on('a body over 64 KiB is 413, one of 64 KiB is read'), options(), async (t) => {
    const padded = (bytes: number) => ({ raw: '{"xid":1}'.padEnd(bytes) })
    t.match(await daemon.post('/contexts', undefined, padded(65_537)), { status: 413, body: { type: 'too-large' } })
    t.match(await daemon.post('/contexts', undefined, padded(65_536)), invalid(/xid/))
  })

  void t.test(on('a wrong method is 405 and says which are right'), options(), async (t) => {
    const cases = [
      ['DELETE', '/contexts', 'GET, HEAD, POST'],
      ['POST', '/contexts/100', 'GET, HEAD, PUT, DELETE'],
      ['PUT', '/contexts/100/info', 'GET, HEAD'],
      ['GET', '/contexts/100/kill', 'POST'],
      ['PATCH', '/contexts/100/uname/nodename', 'GET, HEAD, PUT'],
      ['POST', '/tasks/1', 'GET, HEAD'],
      ['OPTIONS', '/contexts', 'GET, HEAD, POST'],
      ['DELETE', '/', 'GET, HEAD']
    ] as const
    for (const [method, path, allow] of cases)
      t.match(
        await daemon.request(method, path),
        { status: 405, headers: { allow }, body: { type: 'method', status: 405 } },
        `${method} ${path}`
      )
  })

  void t.test(on('an unknown field is refused by its name, at every depth'), options(), async (t) => {
    t.match(await create({ xid: 107, colour: 'red' }), invalid(/colour/))
    t.match(await create({ xid: 107, init: { argv: ['/bin/true'], shell: true } }), invalid(/init.*shell/))
    t.match(
      await create({ xid: 107, init: { argv: ['/bin/true'], user: { uid: 0, name: 'root' } } }),
      invalid(/user.*name/)
    )
    t.match(await create({ xid: 107, uname: { hostname: 'x' } }), invalid(/uname.*hostname/))
    t.ok(await isMissing(107))
    const guest = await guestOf(t, daemon)
    t.match(await daemon.put(guest.path, { xid: 100 }), invalid(/xid/), 'the path says which xid it is')
    t.match(await daemon.post(`${guest.path}/kill`, { signal: 'SIGTERM', group: true }), invalid(/group/))
    t.match(await daemon.put(`${guest.path}/flags`, { names: [], mask: '0x0' }), invalid(/mask/))
  })

  void t.test(on('an unknown path is 404'), options(), async (t) => {
    for (const path of ['/nothing', '/context', '/contexts/100/', '/Contexts', '/contexts/100/nothing', '//contexts'])
      t.match(await daemon.get(path), { status: 404, body: { type: 'not-found', status: 404 } }, path)
    t.match(await daemon.get('/contexts/%zz'), {
      status: 400,
      headers: { 'content-type': /^application\/problem\+json/ }
    })
  })

  void t.test(on('a context that does not exist is 404 with ESRCH, on every path below it'), options(), async (t) => {
    const paths = ['', '/info', '/stat', '/flags', '/bcaps', '/ccaps', '/uname', '/uname/nodename', '/processes']
    for (const path of paths)
      t.match(await daemon.get(`/contexts/999${path}`), { status: 404, body: { errno: 'ESRCH', xid: 999 } }, path)
    const writes = [
      daemon.delete('/contexts/999'),
      daemon.post('/contexts/999/kill', { signal: 9 }),
      daemon.post('/contexts/999/wait'),
      daemon.post('/contexts/999/processes', { argv: ['/bin/true'] }),
      daemon.put('/contexts/999/flags', { names: ['PERSISTENT'] }),
      daemon.patch('/contexts/999/uname', { nodename: 'x' })
    ]
    for (const answer of await Promise.all(writes)) t.match(answer, { status: 404, body: { errno: 'ESRCH' } })
  })

  void t.test(on('an unknown or wrong query parameter is refused by its name'), options(), async (t) => {
    const guest = await guestOf(t, daemon, { xid: 108 })
    t.match(await daemon.get('/contexts?colour=red'), invalid(/colour/))
    t.match(await daemon.post('/contexts?colour=red', {}), invalid(/colour/))
    t.match(await daemon.post(`${guest.path}/wait?time=1`), invalid(/time/))
    t.match(await daemon.delete(`${guest.path}?force=true`), invalid(/force/))
    const wrong = ['limit=0', 'limit=1001', 'limit=1e1', 'limit=', 'limit=1&limit=2', 'after=-1', 'after=x']
    for (const query of wrong) t.match(await daemon.get(`/contexts?${query}`), invalid(/limit|after/), query)
    for (const query of ['timeout=-1', 'timeout=1e1', 'timeout=', 'timeout=Infinity', 'timeout=99999999'])
      t.match(await daemon.post(`${guest.path}/wait?${query}`), invalid(/timeout/), query)
    for (const query of ['dry_run=2', 'dry_run=yes', 'unsupported=keep', 'dry_run='])
      t.match(await daemon.put(`${guest.path}?${query}`, {}), invalid(/dry_run|unsupported/), query)
    t.match(await daemon.delete(`${guest.path}?signal=SIGNOTHING`), invalid(/SIGNOTHING/))
    t.match(await daemon.delete(`${guest.path}?grace=-1`), invalid(/grace/))
    t.equal((await guest.context()).state, 'setup', 'and it is still there')
  })

  void t.test(on('a signal that does not exist, and a pid that cannot be, are refused'), options(), async (t) => {
    const guest = await guestOf(t, daemon)
    for (const signal of ['SIGNOTHING', 'TERMM', 65, -1, 1.5, null, '', '9.5'])
      t.match(
        await daemon.post(`${guest.path}/kill`, { signal }),
        { status: 400, body: { type: 'validation' } },
        JSON.stringify(signal)
      )
    for (const pid of [-2, 2 ** 31, 1.5, '1', null])
      t.match(await daemon.post(`${guest.path}/kill`, { signal: 9, pid }), invalid(/pid/), JSON.stringify(pid))
    for (const pid of ['abc', '-1', '1e3', '2147483648'])
      t.match(await daemon.get(`/tasks/${pid}`), invalid(/pid/), pid)
    t.match(await daemon.get('/tasks/2147483647'), { status: 404, body: { errno: 'ESRCH' } })
  })

  void t.test(
    on('of a hundred creations of one xid at once, one succeeds and the others meet EEXIST'),
    options(),
    async (t) => {
      const guest = { xid: 109, flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
      const answers = await Promise.all(Array.from({ length: 100 }, () => daemon.post('/contexts', guest)))
      const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length
      t.same([count(201), count(409)], [1, 99])
      for (const { status, body } of answers) if (status === 409) t.match(body, { errno: 'EEXIST', xid: 109 })
      t.match(await daemon.get('/contexts/109/processes'), { body: { processes: { length: 1 } } }, 'with one init')
      t.equal((await daemon.delete('/contexts/109?grace=0')).status, 204)
    }
  )

  void t.test(on('a hundred creations without an xid get a hundred different ones'), options(), async (t) => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => daemon.post('/contexts', {})))
    const xids = answers.map(({ body }) => (body as { xid: number }).xid)
    t.equal(new Set(xids).size, 100)
    const gone = await Promise.all(xids.map((xid) => daemon.delete(`/contexts/${xid}`)))
    t.ok(gone.every(({ status }) => status === 204))
  })

  void t.test(on('a client that hangs up while it waits frees its waiter'), options(), async (t) => {
    const guest = await guestOf(t, daemon, { xid: 110 })
    const before = await usecnt(110)
    const ignored = () => undefined
    const requests = [0, 1, 2].map(() => daemon.open('POST', '/contexts/110/wait', undefined, {}, ignored, ignored))
    await until('they wait', async () => (await usecnt(110)) > before)
    requests[0]?.destroy()
    await daemon.get('/health')
    t.ok((await usecnt(110)) > before, 'the others still wait')
    for (const request of requests) request.destroy()
    await until('nobody waits', async () => (await usecnt(110)) === before)
    t.equal((await guest.context()).state, 'setup', 'the context does not mind')
  })

  void t.test(
    on('a client that hangs up during POST with wait leaves a context like any other'),
    options(),
    async (t) => {
      const ignored = () => undefined
      const body = { xid: 111, init: { argv: ['/bin/sleep', '1000'] } }
      await guestOf(t, daemon, { ...body, xid: 112 })
      // At ten moments of the creation.
      for (let turn = 0; turn < 10; turn++) {
        const request = daemon.open('POST', '/contexts?wait', body, {}, ignored, ignored)
        await until('it runs', async () => (await daemon.get('/contexts/111')).status === 200)
        request.destroy()
        await until('it is as one that nobody waits for', async () => (await usecnt(111)) === (await usecnt(112)))
        t.equal((await daemon.delete('/contexts/111?grace=0')).status, 204)
      }
    }
  )

  void t.test(on('after all of it the same daemon answers, and nothing is half-made'), options(), async (t) => {
    t.match(await daemon.get('/version'), { status: 200, body: { pid, driver } })
    t.same((await daemon.get('/contexts')).body, { contexts: [], next: null })
    await until('no child is left', () => isIdle(pid))
    if (driver !== 'namespaces') return
    const left = readdirSync(join(daemon.cgroupRoot ?? '', 'contexts'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory()
    )
    t.same(left, [])
    t.notMatch(daemon.stderr, /"level":"(error|fatal)"/, 'no error was logged')
  })
}

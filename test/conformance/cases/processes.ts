/** vx_migrate and vx_task_xid: processes of a context. */
import { shortLife } from '../../support/guest.js'
import { until } from '../../support/poll.js'
import { isProblem, sleeper, type Cases } from '../support.js'
import { matches } from '../../support/matches.js'

/** A pid that no process has: PID_MAX_LIMIT is 2^22, and a model's pids are not that many. */
const NO_PID = 2 ** 31 - 1

export const processes: Cases = (test, api) => {
  const { daemon } = api
  const start = (path: string, body: object) => daemon.post(`${path}/processes`, body)

  test('a process runs, is listed, and keeps the context running', async (t) => {
    const guest = await api.guest(t)
    t.same(await guest.processes(), [])
    const began = Date.now()
    const reply = await start(guest.path, { argv: sleeper })
    t.match(reply, { status: 201, body: { pid: Number, xid: guest.xid } })
    const { pid } = reply.body as { pid: number }
    const [listed, ...more] = await guest.processes()
    t.same(more, [])
    t.match(listed, { pid, ppid: Number, nspid: Number, comm: 'sleep', state: /^[A-Z]$/ })
    const age = Date.parse(listed?.started_at ?? '') - began
    t.ok(Math.abs(age) < 60_000, `started now: ${listed?.started_at ?? ''}`)
    t.equal((await guest.context()).state, 'running')
  })

  test('a process that has ended is not listed, and a persistent context is then empty', async (t) => {
    const guest = await api.guest(t)
    await guest.start(['true'])
    await guest.isEmpty()
    t.same(await guest.processes(), [])
  })

  test('what is listed of a sleeping process stays the same', async (t) => {
    const guest = await api.running(t)
    const before = await until('it sleeps', async () => {
      const listed = await guest.processes()
      return listed[0]?.state === 'S' && listed
    })
    for (let round = 0; round < 20; round++) t.same(await guest.processes(), before)
  })

  test('contexts list their own processes only', async (t) => {
    const guests = await Promise.all([api.running(t), api.running(t)])
    const pids = await Promise.all(guests.map(async (guest) => (await guest.processes()).map(({ pid }) => pid)))
    t.same(pids, [[await api.initpid(guests[0])], [await api.initpid(guests[1])]])
    t.not(pids[0]?.[0], pids[1]?.[0])
  })

  test('capture answers the output and the exit code', async (t) => {
    const guest = await api.guest(t)
    const ended = {
      exit_code: 0,
      term_signal: null,
      oom_killed: false,
      stderr: '',
      truncated: false,
      timed_out: false
    }
    const { pid, ...report } = await guest.capture(['echo', 'hello', 'guest'])
    t.ok(pid > 0)
    t.same(report, { ...ended, stdout: 'hello guest\n' })
    t.match(await guest.capture(['true']), { ...ended, stdout: '' })
    t.match(await guest.capture(['false']), { ...ended, exit_code: 1 })
    for (const code of [2, 42, 255])
      t.match(await guest.capture(['sh', '-c', `exit ${code}`]), { ...ended, exit_code: code })
    t.match(await guest.capture(['echo', 'grüße 漢字']), { ...ended, stdout: 'grüße 漢字\n' })
  })

  test('an empty name of a program is ENOENT, and so is a long one none that the daemon fails by', async (t) => {
    const guest = await api.guest(t)
    for (const capture of [true, false]) {
      isProblem(t, await start(guest.path, { argv: [''], capture }), 422, { errno: 'ENOENT' })
      for (const argv of [['x'.repeat(300)], ['x'.repeat(10_000)], [`/${'x'.repeat(300)}`], [`/${'x/'.repeat(5000)}`]])
        t.match(await start(guest.path, { argv, capture }), { status: 422, body: { call: 'execve' } })
    }
  })

  test('the name of an environment variable is said when it is none', async (t) => {
    const guest = await api.guest(t)
    for (const name of ['', 'a=b', 'a\0'])
      isProblem(t, await start(guest.path, { argv: ['true'], env: { [name]: 'x' } }), 400, {
        type: 'validation',
        detail: name.includes('\0')
          ? /^body\.env has a NUL/
          : /^body\.env has a variable named ".*": a name is not empty/
      })
  })

  test('a timeout that is over before the start is a captured one that timed out', async (t) => {
    const guest = await api.running(t)
    const { timed_out, exit_code, term_signal } = await guest.capture(sleeper, { timeout: 0.0001 })
    t.strictSame([timed_out, exit_code, term_signal], [true, null, 'SIGKILL'])
  })

  test('captures at the same time each get their own output', async (t) => {
    const guest = await api.guest(t)
    const words = Array.from({ length: 20 }, (_, n) => `word ${n}`)
    const outputs = await Promise.all(words.map(async (word) => (await guest.capture(['echo', word])).stdout))
    t.same(
      outputs,
      words.map((word) => `${word}\n`)
    )
  })

  test('capture answers the signal that killed the process', async (t) => {
    const guest = await api.guest(t)
    const { report } = await api.sleeping(guest)
    t.equal((await guest.kill('SIGKILL')).status, 204)
    matches(t, await report, { exit_code: null, term_signal: 'SIGKILL', timed_out: false })
  })

  if (api.isSupported('process', 'timeout')) {
    test('a captured process gets SIGKILL at its timeout, and the answer says so', async (t) => {
      const guest = await api.guest(t)
      const late = await guest.capture(sleeper, shortLife)
      matches(t, late, { exit_code: null, term_signal: 'SIGKILL', timed_out: true })
      t.match(await guest.capture(['true'], { timeout: 60 }), { exit_code: 0, timed_out: false }, 'in time')
      await guest.isEmpty()
    })

    test('a process that nobody listens to gets SIGKILL at its timeout too', async (t) => {
      const guest = await api.guest(t)
      await guest.start(sleeper, shortLife)
      await guest.isEmpty()
    })
  }

  test('a program that is not there is the errno of exec, and nothing runs', async (t) => {
    for (const guest of [await api.guest(t), await api.running(t)]) {
      const pids = async () => (await guest.processes()).map(({ pid }) => pid)
      const before = await pids()
      for (const more of [{}, { capture: true }]) {
        const reply = await start(guest.path, { argv: ['/no/such/program'], ...more })
        isProblem(t, reply, 422, { errno: 'ENOENT' })
        t.match(reply.body, { call: /^exec/ })
      }
      t.same(await pids(), before)
    }
  })

  test('the input reaches the process where it is enforced, and is taken elsewhere', async (t) => {
    const guest = await api.guest(t)
    const text = `first\n${'x'.repeat(30_000)}\nlast`
    const [argv, stdout] = api.isEnforced('process', 'stdin') ? [['cat'], text] : [['true'], '']
    t.equal((await guest.capture(argv, { stdin: text })).stdout, stdout)
    t.equal((await guest.capture(argv, { stdin: '' })).exit_code, 0, 'an empty input ends at once')
  })

  test('without input a captured process reads the end at once', async (t) => {
    t.match(await (await api.guest(t)).capture(['cat']), { exit_code: 0, stdout: '' })
  })

  test('the working directory is / or the given one where it is enforced, and is taken elsewhere', async (t) => {
    const guest = await api.guest(t)
    if (!api.isEnforced('process', 'cwd')) {
      t.equal((await guest.capture(['true'], { cwd: '/etc' })).exit_code, 0)
      return
    }
    t.equal((await guest.capture(['pwd'])).stdout, '/\n')
    t.equal((await guest.capture(['pwd'], { cwd: '/etc' })).stdout, '/etc\n')
    isProblem(t, await start(guest.path, { argv: ['pwd'], cwd: '/no/such' }), 422, { errno: 'ENOENT' })
  })

  test('the user, group and groups are the given ones where they are enforced, and are taken elsewhere', async (t) => {
    const guest = await api.guest(t)
    const user = { uid: 1001, gid: 1002, groups: [1003, 1004] }
    if (!api.isEnforced('process', 'user')) {
      t.equal((await guest.capture(['true'], { user })).exit_code, 0)
      return
    }
    const ids = async (more: object) => {
      const { stdout } = await guest.capture(['sh', '-c', 'id -u; id -g; id -G'], more)
      const [uid, gid, groups = ''] = stdout.split('\n')
      return [uid, gid, groups.split(' ').toSorted()]
    }
    t.same(await ids({}), ['0', '0', ['0']])
    t.same(await ids({ user }), ['1001', '1002', ['1002', '1003', '1004']])
    t.same(await ids({ user: { uid: 1001 } }), ['1001', '65534', ['65534']], 'without an entry')
  })

  test('the environment is PATH, HOME, TERM and what is given where it is enforced, and is taken elsewhere', async (t) => {
    const guest = await api.guest(t)
    if (!api.isEnforced('process', 'env')) {
      t.equal((await guest.capture(['true'], { env: { GREETING: 'hello' } })).exit_code, 0)
      return
    }
    const names = async (more: object) =>
      (await guest.capture(['env'], more)).stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('=')[0])
        .toSorted()
    t.same(await names({}), ['HOME', 'PATH', 'TERM'], 'nothing of the daemon')
    t.same(await names({ env: { GREETING: 'hello', TERM: 'vt100' } }), ['GREETING', 'HOME', 'PATH', 'TERM'])
    const printed = await guest.capture(['sh', '-c', 'echo "$GREETING $TERM"'], {
      env: { GREETING: 'a b=c', TERM: 'vt100' }
    })
    t.equal(printed.stdout, 'a b=c vt100\n')
  })

  test('SET_INIT makes the process the init of an empty context, and a second one is 409', async (t) => {
    const guest = await api.guest(t)
    const pid = await guest.start(sleeper, { flags: ['SET_INIT', 'VXM_SET_REAPER'] })
    t.equal(await api.initpid(guest), pid)
    isProblem(t, await start(guest.path, { argv: sleeper, flags: ['set_init'] }), 409, { type: 'init-running' })
    t.equal(await api.initpid(guest), pid)
    t.equal((await guest.processes()).length, 1)
  })

  test('SET_INIT makes an init beside processes that run', async (t) => {
    const guest = await api.guest(t)
    const other = await guest.start(sleeper)
    const pid = await guest.start(sleeper, { flags: ['SET_INIT'] })
    t.equal(await api.initpid(guest), pid)
    t.same((await guest.processes()).map((process) => process.pid).toSorted(), [other, pid].toSorted())
  })

  test('what makes no process is 400: SET_REAPER alone, an init that is captured, an input nobody reads', async (t) => {
    const guest = await api.guest(t)
    const argv = ['true']
    const bodies = [
      { argv, flags: ['SET_REAPER'] },
      { argv, flags: ['SET_INIT'], capture: true },
      { argv, flags: ['SET_INIT'], timeout: 1 },
      { argv, flags: ['NO_SUCH_FLAG'] },
      { argv, stdin: 'x' },
      { argv: [] },
      { argv: ['a\0b'] },
      { argv, cwd: 'etc' },
      { argv, env: { 'A=B': 'c' } },
      { argv, user: { uid: -1 } },
      { argv, timeout: -1 },
      { argv: 'true' },
      {}
    ]
    for (const body of bodies)
      isProblem(t, await start(guest.path, body), 400, { type: 'validation' }, JSON.stringify(body))
    t.equal((await guest.context()).state, 'setup', 'nothing has run')
  })

  test('a task is in the context it was started in, the daemon is in none', async (t) => {
    const guest = await api.guest(t)
    const pids = [await guest.start(sleeper), await guest.start(sleeper, { flags: ['SET_INIT'] })]
    for (const pid of pids) t.same((await daemon.get(`/tasks/${pid}`)).body, { pid, xid: guest.xid })
    t.same((await daemon.get('/tasks/0')).body, { pid: 0, xid: 0 }, 'the caller')
    t.same((await daemon.get(`/tasks/${daemon.pid}`)).body, { pid: daemon.pid, xid: 0 })
    await guest.kill('SIGKILL')
    for (const pid of pids) await until('it is gone', async () => (await daemon.get(`/tasks/${pid}`)).status === 404)
  })

  test('a task that is not there is ESRCH', async (t) => {
    isProblem(t, await daemon.get(`/tasks/${NO_PID}`), 404, { errno: 'ESRCH' })
    for (const pid of ['-1', 'self', '2147483648', '1e3'])
      isProblem(t, await daemon.get(`/tasks/${pid}`), 400, { type: 'validation' }, pid)
  })

  if (api.actsOnNew('bcaps', 'SYS_CHROOT')) {
    test('a process has no capability that is not in bcaps', async (t) => {
      const guest = await api.guest(t)
      const chroot = async () => (await guest.capture(['chroot', '/', 'true'])).exit_code
      t.equal(await chroot(), 0)
      await daemon.patch(`${guest.path}/bcaps`, { clear: ['SYS_CHROOT'] })
      t.not(await chroot(), 0)
      await daemon.patch(`${guest.path}/bcaps`, { set: ['SYS_CHROOT'] })
      t.equal(await chroot(), 0)
    })
  }

  if (api.actsOnNew('ccaps', 'SET_UTSNAME')) {
    test('a guest sets its own nodename with SET_UTSNAME, and not without', async (t) => {
      const guest = await api.running(t, { uname: { nodename: 'given' } })
      t.not((await guest.capture(['hostname', 'taken'])).exit_code, 0)
      t.equal((await guest.context()).uname.nodename, 'given')
      await daemon.patch(`${guest.path}/ccaps`, { set: ['SET_UTSNAME'] })
      t.equal((await guest.capture(['hostname', 'taken'])).exit_code, 0)
      t.equal((await guest.context()).uname.nodename, 'taken')
    })
  }
}

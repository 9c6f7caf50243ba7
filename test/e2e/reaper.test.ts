/** Contexts without an init of their own: our reaper is PID 1 while processes are there. */
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { isAlive, isIdle, needsRoot, statusField } from '../support/proc.js'

let daemon: TestDaemon
t.before(async () => {
  if (!needsRoot().skip) daemon = await TestDaemon.start('namespaces')
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

const sleep = ['/bin/sleep', '1000']

void t.test(
  'a process started without init runs under a reaper that no list and no kill knows',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon)
    t.equal((await guest.context()).state, 'setup')
    const pid = await guest.start(sleep)
    t.match(await guest.context(), { state: 'running', initpid: 0 })
    t.equal((await guest.shell('cat /proc/1/comm')).stdout, 'contextd-init\n')
    matches(t, await guest.processes(), [{ pid, comm: 'sleep' }])
    t.match(await daemon.get(`${guest.path}/stat`), { body: { nr_threads: 1, tasks: 2 } })
    t.match(await guest.kill('SIGKILL', 1), { status: 404, body: { errno: 'ESRCH' } }, 'there is no init to signal')
    t.ok(isAlive(pid))
  }
)

void t.test(
  'a persistent context is empty when its last process has ended, and starts anew',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon, { uname: { nodename: 'again' } })
    for (let round = 0; round < 3; round++) {
      t.equal((await guest.shell('hostname')).stdout, 'again\n')
      await guest.isEmpty()
      t.same(await guest.processes(), [])
    }
    await until('its launchers are gone', () => isIdle(daemon.pid))
  }
)

void t.test('without PERSISTENT a context needs an init to exist', needsRoot(), async (t) => {
  t.match(await daemon.post('/contexts', { xid: 320, flags: [] }), { status: 422, body: { type: 'not-persistent' } })
  t.equal((await daemon.get('/contexts/320')).status, 404)
})

void t.test(
  'a context whose PERSISTENT is cleared ends with its last process, whose status is reported',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon)
    const pid = await guest.start(sleep)
    t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })).status, 200)
    t.equal((await guest.context()).state, 'running')
    const report = daemon.post(`${guest.path}/wait`)
    await guest.hasWaiters(1)
    t.equal((await guest.kill('SIGUSR1', pid)).status, 204)
    matches(t, await report, { status: 200, body: { term_signal: 'SIGUSR1', exit_code: null } })
    t.equal((await daemon.get(guest.path)).status, 404)
  }
)

void t.test('clearing PERSISTENT of an empty context ends it at once, and its xid is free', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { xid: 321 })
  t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })).status, 200)
  t.equal((await daemon.get(guest.path)).status, 404)
  t.equal((await daemon.post('/contexts', { xid: 321 })).status, 201)
})

void t.test('orphans are reaped', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  const keeper = await guest.start(sleep)
  await guest.shell('for i in 1 2 3 4 5; do (sleep 0.05 & sleep 0.05 &) ; done')
  await until('only the keeper is left, no zombie', async () =>
    (await guest.processes()).every(({ pid }) => pid === keeper)
  )
})

void t.test('a double-forked daemon lives on in its context, and ends with it', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  t.equal((await guest.shell('setsid sh -c "sleep 1000 & sleep 1001 &"')).exit_code, 0)
  const left = await until('both are orphans', async () => {
    const all = await guest.processes()
    return all.length === 2 && all.every(({ comm }) => comm === 'sleep') ? all : undefined
  })
  t.equal((await guest.context()).state, 'running')
  t.equal((await guest.kill('SIGTERM')).status, 204)
  await guest.isEmpty()
  for (const { pid } of left) t.notOk(isAlive(pid))
})

void t.test(
  'SET_INIT makes the reaper give way to an init, and the processes that run go on',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon, { uname: { nodename: 'turned' } })
    const earlier = await guest.start(sleep)
    const init = await guest.start(['/bin/sleep', '1001'], {
      flags: ['SET_INIT', 'SET_REAPER'],
      user: { uid: 33, groups: [4] }
    })
    t.match(statusField(init, 'NSpid'), new RegExp(`^${init}\\s+1$`))
    t.equal(statusField(init, 'Uid'), '33\t33\t33\t33')
    t.equal(statusField(init, 'Groups')?.trim(), '4')
    t.equal((await guest.context()).initpid, init)
    t.ok(isAlive(earlier))
    t.same((await guest.processes()).map(({ pid }) => pid).sort(), [earlier, init].sort())
    t.match((await guest.context()).flags.names.join(), /^STATE_ADMIN,PERSISTENT$/, 'setup is over')
    t.equal((await guest.shell('hostname; cat /proc/1/comm')).stdout, 'turned\nsleep\n')

    t.match(await daemon.post(`${guest.path}/processes`, { argv: sleep, flags: ['SET_INIT'] }), {
      status: 409,
      body: { type: 'init-running' }
    })
    t.equal((await guest.kill('SIGKILL', 1)).status, 204)
    await guest.isEmpty()
    t.notOk(isAlive(earlier), 'PID 1 takes all others along')
    t.equal((await guest.shell('cat /proc/1/comm')).stdout, 'contextd-init\n', 'and a reaper is back')
  }
)

void t.test(
  'an init that cannot be executed leaves the reaper, its processes and the flags as they were',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon)
    const pid = await guest.start(sleep)
    const { value } = (await guest.context()).flags
    for (const argv of [['/nowhere'], ['/etc/passwd']]) {
      const refused = await daemon.post(`${guest.path}/processes`, { argv, flags: ['SET_INIT'] })
      t.match(refused, { body: { call: 'execve', detail: argv[0] } })
      t.ok([403, 422].includes(refused.status))
    }
    t.ok(isAlive(pid))
    t.match(await guest.context(), { initpid: 0, state: 'running', flags: { value } })
    t.equal((await guest.shell('cat /proc/1/comm')).stdout, 'contextd-init\n')
    t.ok(await guest.start(['/bin/sleep', '1001'], { flags: ['SET_INIT'] }), 'the next try works')
  }
)

void t.test('SET_INIT in an empty context starts it', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  const init = await guest.start(sleep, { flags: ['SET_INIT'] })
  t.match(statusField(init, 'NSpid'), new RegExp(`^${init}\\s+1$`))
  t.match(await guest.context(), { initpid: init, state: 'running' })
})

void t.test('an init does not wait to be captured, fed or timed', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  for (const more of [{ capture: true }, { timeout: 1 }])
    t.match(await daemon.post(`${guest.path}/processes`, { argv: sleep, flags: ['SET_INIT'], ...more }), {
      status: 400
    })
  t.equal((await guest.context()).state, 'setup')
})

void t.test('two SET_INIT at once make one init', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  for (const before of ['empty', 'with a reaper']) {
    if (before !== 'empty') {
      await guest.kill('SIGKILL')
      await guest.isEmpty()
      await guest.start(sleep)
    }
    const tries = await Promise.all(
      [0, 1, 2].map(() => daemon.post(`${guest.path}/processes`, { argv: ['/bin/sleep', '1002'], flags: ['SET_INIT'] }))
    )
    t.equal(tries.filter(({ status }) => status === 201).length, 1, before)
    t.equal((await guest.processes()).filter(({ nspid }) => nspid === 1).length, 1, before)
    t.match(await guest.context(), { state: 'running' })
  }
})

void t.test('twenty processes at once share one reaper', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  const results = await Promise.all(
    Array.from({ length: 20 }, () => guest.shell('cat /proc/1/comm; readlink /proc/self/ns/pid'))
  )
  t.equal(results.filter(({ stdout }) => stdout.startsWith('contextd-init\n')).length, 20)
  await guest.isEmpty()
})

void t.test('a short process after another never meets a reaper on its way out', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon)
  for (let round = 0; round < 50; round++) t.equal((await guest.capture(['/bin/true'])).exit_code, 0)
})

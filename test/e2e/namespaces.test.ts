/** The life of a context on a stock kernel, as a user with curl sees it and as the host sees it. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { curl } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'
import { linksIn } from '../support/leftovers.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { descriptorsOf, isAlive, isIdle, mountsOfHost, needsRoot, pidsInCgroup, statusField } from '../support/proc.js'

let daemon: TestDaemon
t.before(async () => {
  if (!needsRoot().skip) daemon = await TestDaemon.start('namespaces')
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

const contextsOf = ({ cgroupRoot = '' }: TestDaemon) => join(cgroupRoot, 'contexts')
const directoriesIn = (path: string) =>
  readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())

void t.test(
  'curl makes a real process group with its own hostname and PID 1, and its end leaves nothing behind',
  needsRoot(),
  async (t) => {
    const own = await TestDaemon.start('namespaces')
    t.teardown(() => own.cleanUp())
    const ask = (method: string, path: string, body?: unknown) => curl(own.socket, method, path, body)
    await ask('GET', '/version')
    await until('it is ready', () => isIdle(own.pid))
    const before = { mounts: mountsOfHost(), descriptors: descriptorsOf(own.pid).length }

    const created = await ask('POST', '/contexts', {
      xid: 100,
      name: 'web1',
      flags: ['PERSISTENT'],
      uname: { nodename: 'web1' },
      init: { argv: ['/bin/sleep', '1000'] }
    })
    t.equal(created.status, 201)
    const { initpid, name, state } = created.body as Context
    t.same([name, state], ['web1', 'running'])
    t.match(
      statusField(initpid, 'NSpid'),
      new RegExp(`^${initpid}\\s+1$`),
      'the host sees a PID 1 of one namespace below'
    )
    t.not(
      readFileSync(`/proc/${initpid}/cgroup`, 'utf8').indexOf('/contexts/100\n'),
      -1,
      'it is in the cgroup of its context'
    )

    matches(t, await ask('POST', '/contexts/100/processes', { argv: ['/bin/hostname'], capture: true }), {
      status: 200,
      body: { stdout: 'web1\n', stderr: '', exit_code: 0, term_signal: null }
    })
    t.match(await ask('GET', `/tasks/${initpid}`), { status: 200, body: { pid: initpid, xid: 100 } })
    t.match(
      await ask('GET', `/tasks/${process.pid}`),
      { status: 200, body: { xid: 0 } },
      'a process of the host is in none'
    )

    const waiter = ask('POST', '/contexts/100/wait')
    await until(
      'curl waits',
      async () => ((await ask('GET', '/contexts/100/stat')).body as { usecnt: number }).usecnt === 2
    )
    t.equal((await ask('POST', '/contexts/100/kill', { pid: 0, signal: 'SIGKILL' })).status, 204)
    await until('the init is gone', () => !isAlive(initpid))
    await until('it is empty', async () => ((await ask('GET', '/contexts/100')).body as Context).state === 'empty')
    t.equal((await ask('DELETE', '/contexts/100')).status, 204)
    t.same(await waiter, {
      status: 200,
      body: { xid: 100, reboot_cmd: null, exit_code: null, term_signal: 'SIGKILL', raw_status: 9, oom_killed: false }
    })

    t.equal((await ask('GET', '/contexts/100')).status, 404)
    t.same(directoriesIn(contextsOf(own)), [], 'no cgroup is left')
    t.same(pidsInCgroup(`${basename(own.cgroupRoot ?? '')}/contexts/`), [], 'no process is left')
    t.same(mountsOfHost(), before.mounts, 'no mount is left')
    await until('no child and no zombie is left', () => isIdle(own.pid))
    await until('no descriptor is left', () => descriptorsOf(own.pid).length <= before.descriptors).catch(() => {
      t.equal(descriptorsOf(own.pid).length, before.descriptors, linksIn(`/proc/${own.pid}/fd`).join(' '))
    })
  }
)

void t.test('fifty contexts made and ended leave no descriptor, child or directory', needsRoot(), async (t) => {
  const before = descriptorsOf(daemon.pid).length
  for (let round = 0; round < 50; round++) {
    const guest = { init: { argv: ['/bin/sleep', '1000'] } }
    const { xid } = expect<Context>(201, await daemon.post('/contexts', guest))
    await daemon.post(`/contexts/${xid}/processes`, { argv: ['/bin/true'], capture: true })
    const ended = await daemon.delete(`/contexts/${xid}?grace=0`)
    t.equal(ended.status, 204, ended.text)
  }
  await until('no descriptor is left', () => descriptorsOf(daemon.pid).length <= before)
  await until('no child is left', () => isIdle(daemon.pid))
  t.same(directoriesIn(contextsOf(daemon)), [])
})

void t.test(
  'a context that is not persistent ends with its init, and a late waiter still gets the report',
  needsRoot(),
  async (t) => {
    const init = { argv: ['/bin/sh', '-c', 'exit 42'] }
    const { xid } = expect<Context>(201, await daemon.post('/contexts', { init }))
    await until('it is gone', async () => (await daemon.get(`/contexts/${xid}`)).status === 404)
    matches(t, await daemon.post(`/contexts/${xid}/wait`), {
      status: 200,
      body: { xid, exit_code: 42, term_signal: null, raw_status: 42 << 8 }
    })
  }
)

void t.test('POST with wait answers with the exit report of the init', needsRoot(), async (t) => {
  const init = { argv: ['/bin/sh', '-c', 'exit 7'] }
  matches(t, await daemon.post('/contexts?wait', { init }), { status: 200, body: { exit_code: 7, reboot_cmd: null } })
  const late = await daemon.post('/contexts?wait=0.1', { init: { argv: ['/bin/sleep', '1000'] } })
  t.equal(late.status, 201, 'an init that outlives the wait is a context like any other')
  t.equal((await daemon.delete(`/contexts/${(late.body as Context).xid}?grace=0`)).status, 204)
})

void t.test('SIGTERM ends a PID 1 that does not handle it', needsRoot(), async (t) => {
  for (const pid of [1, 0]) {
    const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
    t.equal((await guest.kill('SIGTERM', pid)).status, 204)
    await guest.isEmpty()
  }
})

void t.test('SIGTERM reaches a PID 1 that handles it, which ends in its own way', needsRoot(), async (t) => {
  const script = 'trap "exit 7" TERM; echo ready >/tmp/ready; while :; do sleep 0.01; done'
  const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sh', '-c', script] } })
  await until('the trap is set', async () => (await guest.shell('cat /tmp/ready')).stdout === 'ready\n')
  const report = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  matches(t, await report, { status: 200, body: { exit_code: 7, term_signal: null } })
})

void t.test('a signal that is ignored by default does not end a PID 1', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
  for (const signal of ['SIGCHLD', 'SIGWINCH', 'SIGURG', 'SIGCONT', 0])
    t.equal((await guest.kill(signal, 1)).status, 204, String(signal))
  t.equal((await guest.context()).state, 'running')
})

void t.test(
  'kill -1 spares the init, kill of one pid spares all others, and a pid of the host is out of reach',
  needsRoot(),
  async (t) => {
    const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
    const [first, second] = [await guest.start(['/bin/sleep', '1001']), await guest.start(['/bin/sleep', '1002'])]
    const { initpid } = await guest.context()
    t.equal((await guest.kill('SIGTERM', first)).status, 204)
    await until('the first is gone', () => !isAlive(first))
    t.ok(isAlive(second) && isAlive(initpid))
    t.equal((await guest.kill('SIGTERM', -1)).status, 204)
    await until('the second is gone', () => !isAlive(second))
    t.ok(isAlive(initpid))
    t.match(await guest.kill(0, process.pid), { status: 404, body: { errno: 'ESRCH' } })
    t.match(await guest.kill('SIGKILL', daemon.pid), { status: 404, body: { errno: 'ESRCH' } })
    // Until it is reaped it takes signals.
    await until('it is reaped', async () => (await guest.kill('SIGKILL', second)).status !== 204)
    t.match(await guest.kill('SIGKILL', second), { status: 404, body: { errno: 'ESRCH' } }, 'one that has ended')
  }
)

void t.test('two hundred processes die by one SIGKILL', needsRoot(), async (t) => {
  const script = 'i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; wait'
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sh', '-c', script] } })
  await until('all of them run', async () => (await guest.processes()).length === 201)
  t.match(await daemon.get(`${guest.path}/stat`), { body: { nr_threads: 201, tasks: 202 } })
  t.equal((await guest.kill('SIGKILL')).status, 204)
  await guest.isEmpty()
  t.same(await guest.processes(), [])
})

void t.test('processes that fork again and again do not escape SIGKILL', needsRoot(), async (t) => {
  const script = 'i=0; while [ $i -lt 20 ]; do (while :; do sleep 0.001 & wait; done) & i=$((i+1)); done; wait'
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  await guest.start(['/bin/sh', '-c', script])
  await until('they are at it', async () => (await guest.processes()).length > 20)
  t.equal((await guest.kill('SIGKILL')).status, 204)
  await guest.isEmpty()
  t.same(await guest.processes(), [])
})

void t.test('the list of processes has the pids of both sides, names, states and starts', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
  const started = await guest.start(['/bin/sh', '-c', 'sleep 1001 & wait'])
  const listed = await until('an init, a shell and its child', async () => {
    const all = await guest.processes()
    return all
      .map(({ comm }) => comm)
      .sort()
      .join() === 'sh,sleep,sleep'
      ? all
      : undefined
  })
  const { initpid } = await guest.context()
  const init = listed.find(({ pid }) => pid === initpid)
  const shell = listed.find(({ pid }) => pid === started)
  t.match(init, { nspid: 1, comm: 'sleep', state: 'S' })
  t.match(shell, { comm: 'sh', state: 'S' })
  t.ok((shell?.nspid ?? 0) > 1)
  t.match(
    listed.find(({ ppid }) => ppid === started),
    { comm: 'sleep' },
    'ppid is a pid of the same list'
  )
  for (const { started_at } of listed) t.ok(Math.abs(Date.now() - Date.parse(started_at)) < 60_000, started_at)
})

void t.test('bits that are not enforced yet are refused by name and change nothing', needsRoot(), async (t) => {
  t.match(await daemon.post('/contexts', { xid: 300, flags: ['PERSISTENT', 'SCHED_HARD'] }), {
    status: 422,
    body: { type: 'unsupported', detail: /SCHED_HARD/ }
  })
  t.equal((await daemon.get('/contexts/300')).status, 404)
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
  t.equal((await daemon.patch(`${guest.path}/flags`, { set: ['FORK_RSS'] })).status, 422)
  t.equal((await daemon.patch(`${guest.path}/flags?unsupported=record`, { set: ['FORK_RSS'] })).status, 200)
  matches(t, await guest.context(), {
    flags: { names: ['STATE_SETUP', 'STATE_INIT', 'STATE_ADMIN', 'PERSISTENT', 'FORK_RSS'] }
  })
})

/** A daemon that ends, by order or by accident, and the next one. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { isAlive, needsRoot } from '../support/proc.js'

t.setTimeout(FILE_LIMIT_MS)

const sleep = ['/bin/sleep', '1000']
const exitsBySigterm = ['/bin/sh', '-c', 'trap "exit 7" TERM; echo >/tmp/ready; while :; do sleep 0.01; done']

const noContexts = { contexts: [], next: null }

/** The same cgroups, socket and logs for all tests: each ends one daemon or two and leaves the next one as it was. */
let shared: TestDaemon | undefined
t.teardown(() => shared?.cleanUp())

async function started(t: Test): Promise<TestDaemon> {
  const daemon = (shared ??= await TestDaemon.start('namespaces'))
  t.same((await daemon.get('/contexts')).body, noContexts)
  return daemon
}

/** The daemon ends, `between` happens, and the next one starts. */
async function restart(daemon: TestDaemon, signal: NodeJS.Signals, between?: () => unknown): Promise<void> {
  await daemon.stop(signal)
  await between?.()
  await daemon.boot()
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  void t.test(
    `guests outlive a daemon that ends by ${signal}, and the next one knows all of them`,
    needsRoot(),
    async (t) => {
      const daemon = await started(t)
      const guest = await guestOf(t, daemon, {
        xid: 100,
        name: 'web1',
        flags: ['PERSISTENT'],
        bcaps: ['CHOWN', 'KILL'],
        uname: { nodename: 'web1', domainname: 'example.org' },
        init: { argv: sleep }
      })
      const bare = await guestOf(t, daemon, { xid: 101 })
      const process = await bare.start(sleep)
      const before = await Promise.all([guest, bare].map(({ path }) => daemon.get(path)))
      const { initpid } = await guest.context()

      await restart(daemon, signal, () => {
        t.ok(isAlive(initpid) && isAlive(process), 'nothing has happened to the guests')
      })

      t.same(
        ((await daemon.get('/contexts')).body as { contexts: Context[] }).contexts.map(({ xid }) => xid),
        [100, 101]
      )
      const after = await Promise.all([guest, bare].map(({ path }) => daemon.get(path)))
      t.same(
        after.map(({ body }) => body as unknown),
        before.map(({ body }) => body as unknown)
      )
      t.same(
        after.map(({ headers }) => headers.etag),
        before.map(({ headers }) => headers.etag),
        'even the ETag holds'
      )
      t.match(await daemon.get(`/tasks/${initpid}`), { body: { xid: 100 } })

      t.equal((await guest.shell('hostname')).stdout, 'web1\n')
      t.equal((await bare.shell('cat /proc/1/comm')).stdout, 'contextd-init\n')
      matches(t, await bare.processes(), [{ pid: process, comm: 'sleep' }])
      t.match(await daemon.patch(`${guest.path}/uname`, { nodename: 'web2' }), { status: 200 })
      t.equal((await guest.shell('hostname')).stdout, 'web2\n')

      const waiter = daemon.post(`${guest.path}/wait`)
      await guest.hasWaiters(1)
      t.equal((await guest.kill('SIGKILL')).status, 204)
      await guest.isEmpty()
      t.equal((await daemon.delete(guest.path)).status, 204)
      matches(t, await waiter, { status: 200, body: { term_signal: 'SIGKILL', exit_code: null } })
      t.equal((await daemon.delete(`${bare.path}?grace=0`)).status, 204)
      t.notOk(isAlive(process))
      t.same((await daemon.get('/contexts')).body, noContexts)
    }
  )
}

void t.test('a paused context stays paused, and the next daemon can let it go on', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { xid: 100, flags: ['PERSISTENT', 'SCHED_PAUSE'], init: { argv: sleep } })
  await restart(daemon, 'SIGKILL')
  matches(t, await guest.context(), { state: 'paused', flags: { names: ['SCHED_PAUSE', 'STATE_ADMIN', 'PERSISTENT'] } })
  t.equal((await daemon.patch(`${guest.path}/flags`, { clear: ['SCHED_PAUSE'] })).status, 200)
  t.equal((await guest.context()).state, 'running')
  t.equal((await guest.shell('echo again')).stdout, 'again\n')
})

void t.test('the exit code of an init that an earlier daemon started is known', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { init: { argv: exitsBySigterm } })
  await until('the trap is set', async () => (await guest.shell('ls /tmp')).stdout === 'ready\n')
  await restart(daemon, 'SIGKILL')
  const waiter = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  matches(t, await waiter, { status: 200, body: { exit_code: 7, term_signal: null } })
  t.equal((await daemon.get(guest.path)).status, 404, 'not persistent, it ended with its init')
})

void t.test('what happens to a persistent context while no daemon runs is known afterwards', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: sleep } })
  const { initpid } = await guest.context()
  await restart(daemon, 'SIGTERM', async () => {
    process.kill(initpid, 'SIGKILL')
    await until('the init is gone', () => !isAlive(initpid))
  })
  await guest.isEmpty()
  t.equal((await guest.context()).initpid, 0)
  const waiter = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  t.equal((await daemon.delete(guest.path)).status, 204)
  t.match(await waiter, { status: 200, body: { term_signal: 'SIGKILL' } })
})

void t.test(
  'the report of a context that ended while no daemon ran is kept for a late waiter',
  needsRoot(),
  async (t) => {
    const daemon = await started(t)
    const guest = await guestOf(t, daemon, { init: { argv: sleep } })
    const { initpid } = await guest.context()
    await restart(daemon, 'SIGTERM', async () => {
      process.kill(initpid, 'SIGKILL')
      await until('the init is gone', () => !isAlive(initpid))
    })
    t.equal((await daemon.get(guest.path)).status, 404)
    t.match(await daemon.post(`${guest.path}/wait`), { status: 200, body: { term_signal: 'SIGKILL' } })
    await restart(daemon, 'SIGKILL')
    t.match(await daemon.post(`${guest.path}/wait`), { status: 200, body: { term_signal: 'SIGKILL' } }, 'and for later')
  }
)

void t.test('the report and the log of a dead context outlive its daemon', needsRoot(), async (t) => {
  const daemon = await started(t)
  const init = { argv: ['/bin/sh', '-c', 'echo last words; exit 7'] }
  const ended = await daemon.post('/contexts?wait', { xid: 200, init })
  t.match(ended, { status: 200, body: { exit_code: 7 } })
  for (const argv of [['/bin/true'], ['/bin/false']]) await daemon.post('/contexts?wait', { xid: 201, init: { argv } })
  t.match(await daemon.post('/contexts', { xid: 202, init: { argv: ['/nowhere'] } }), { status: 422 })
  await restart(daemon, 'SIGKILL')
  t.same((await daemon.post('/contexts/200/wait')).body, ended.body)
  t.match((await daemon.get('/contexts/200/log')).text, / stdout F last words\n$/)
  t.match(await daemon.post('/contexts/201/wait'), { body: { exit_code: 1 } }, 'of two that had the xid, the last one')
  t.match(await daemon.post('/contexts/202/wait'), { status: 404 }, 'one that was never made has none')
  await guestOf(t, daemon, { xid: 200 })
  await restart(daemon, 'SIGKILL')
  t.equal((await daemon.post('/contexts/200/wait?timeout=0')).status, 204, 'a new one with the xid is not dead')
})

void t.test('a capture whose daemon dies ends by itself', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon)
  await guest.shell('mkfifo /tmp/go')
  const lost = guest.shell('read word </tmp/go; echo late').catch(() => 'hung up')
  await until('it runs', async () => (await guest.processes()).length > 0)
  await restart(daemon, 'SIGKILL')
  t.equal(await lost, 'hung up')
  await guest.shell('echo >/tmp/go')
  await guest.isEmpty()
})

void t.test('a half-made context is removed at the start, a stranger is left alone', needsRoot(), async (t) => {
  const daemon = await started(t)
  const contexts = join(daemon.cgroupRoot ?? '', 'contexts')
  await restart(daemon, 'SIGKILL', () => {
    for (const name of ['777', '778/below', '70000', 'stranger']) mkdirSync(join(contexts, name), { recursive: true })
  })
  for (const name of ['777', '778', '70000']) t.notOk(existsSync(join(contexts, name)), name)
  t.ok(existsSync(join(contexts, 'stranger')))
  t.same((await daemon.get('/contexts')).body, noContexts)
  await guestOf(t, daemon, { xid: 777 })
  rmdirSync(join(contexts, 'stranger'))
})

void t.test('a second daemon on the same cgroups is refused by the lock, and harms nothing', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { init: { argv: sleep } })
  const { cgroupRoot = '', directory } = daemon
  const socket = join(directory, 'second.sock')
  const args = [
    '--driver',
    'namespaces',
    '--cgroup-root',
    cgroupRoot,
    '--socket',
    socket,
    '--audit-log',
    join(directory, 'second.log')
  ]
  const { code, stderr } = await contextd(['serve', ...args])
  t.equal(code, 1)
  t.match(stderr, new RegExp(`another contextd manages ${cgroupRoot}`))
  t.notOk(existsSync(socket))
  t.equal((await guest.context()).state, 'running')
})

void t.test('cgroups that a guest makes below its own go with it', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: sleep } })
  const own = join(daemon.cgroupRoot ?? '', 'contexts', String(guest.xid))
  mkdirSync(join(own, 'a', 'b'), { recursive: true })
  await restart(daemon, 'SIGKILL')
  t.equal((await guest.context()).state, 'running')
  t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
  t.same(
    readdirSync(join(daemon.cgroupRoot ?? '', 'contexts'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory()
    ),
    []
  )
})

void t.test('a paused context is still paused for the next daemon', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { init: { argv: exitsBySigterm } })
  await until('the trap is set', async () => (await guest.shell('ls /tmp')).stdout === 'ready\n')
  const patchFlags = (body: object) => daemon.patch(`${guest.path}/flags`, body)
  t.equal((await patchFlags({ set: ['SCHED_PAUSE'] })).status, 200)
  // As if the daemon had ended between the flag and the freezer.
  const frozen = join(daemon.cgroupRoot ?? '', 'contexts', String(guest.xid), 'cgroup.freeze')
  await restart(daemon, 'SIGKILL', () => {
    writeFileSync(frozen, '0')
  })
  t.equal((await guest.context()).state, 'paused')
  t.match(await daemon.get(`${guest.path}/stat`), { body: { nr_onhold: (await guest.processes()).length } })
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  t.equal((await daemon.post(`${guest.path}/wait?timeout=0.5`)).status, 204)
  const report = daemon.post(`${guest.path}/wait`)
  await guest.hasWaiters(1)
  await patchFlags({ clear: ['SCHED_PAUSE'] })
  t.match(await report, { status: 200, body: { exit_code: 7 } })
})

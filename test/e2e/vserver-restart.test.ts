/** Daemons over the contexts of a Linux-VServer kernel that an earlier one, or somebody else, has made. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleepFor } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { contextd, run } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { contextsInKernel, rerunEmulated } from '../support/emulator.js'
import { expect, Guest, guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

t.setTimeout(FILE_LIMIT_MS)

if (!needsRoot().skip) rerunEmulated(import.meta.url)

const sleep = ['/bin/sleep', '1000']
const EXIT_FAILED = 1

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('vserver')
  t.teardown(() => daemon.cleanUp())
  return daemon
}

/** The daemon ends, `between` happens, and the next one starts. */
async function restart(daemon: TestDaemon, signal: NodeJS.Signals, between?: () => unknown): Promise<void> {
  await daemon.stop(signal)
  await between?.()
  await daemon.boot()
}

const xidsOf = async (daemon: TestDaemon) =>
  expect<{ contexts: Context[] }>(200, await daemon.get('/contexts')).contexts.map(({ xid }) => xid)

const recordsOf = (daemon: TestDaemon) => join(daemon.stateDir, 'contexts')
const recordOf = (daemon: TestDaemon, xid: number) => join(recordsOf(daemon), `${xid}.json`)

type Stored = Record<'root' | 'created_at' | 'settled' | 'boot' | 'born', unknown>

/** Changes the record that a daemon has left. */
function edit(daemon: TestDaemon, xid: number, changes: Partial<Stored>): void {
  const stored = JSON.parse(readFileSync(recordOf(daemon, xid), 'utf8')) as Stored
  writeFileSync(recordOf(daemon, xid), JSON.stringify({ ...stored, ...changes }))
}

void t.test('the report and the log of a dead context outlive its daemon', needsRoot(), async (t) => {
  const daemon = await started(t)
  const init = { argv: ['/bin/sh', '-c', 'echo last words; exit 7'] }
  const ended = await daemon.post('/contexts?wait', { xid: 200, init })
  t.match(ended, { status: 200, body: { exit_code: 7 } })
  t.match(await daemon.post('/contexts', { xid: 202, init: { argv: ['/nowhere'] } }), { status: 422 })
  await restart(daemon, 'SIGKILL')
  t.same((await daemon.post('/contexts/200/wait')).body, ended.body)
  t.match((await daemon.get('/contexts/200/log')).text, / stdout F last words\n$/)
  t.match(await daemon.post('/contexts/202/wait'), { status: 404 }, 'one that was never made has none')
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  const title = `guests outlive a daemon that ends by ${signal}, and the next one knows all of them`
  void t.test(title, needsRoot(), async (t) => {
    const root = guestRoot(t, ['/bin/sh', '/bin/cat', '/bin/sleep', '/bin/uname'])
    const daemon = await started(t)
    const guest = await guestOf(t, daemon, {
      xid: 100,
      name: 'web1',
      root,
      flags: ['PERSISTENT', 'VIRT_UPTIME'],
      bcaps: ['CHOWN', 'KILL', 'SYS_CHROOT'],
      ccaps: ['SET_UTSNAME'],
      uname: { nodename: 'web1', domainname: 'example.org', release: '2.6.22' },
      init: { argv: sleep }
    })
    const mortal = await guestOf(t, daemon, { xid: 101, init: { argv: sleep } })
    const inSetup = await guestOf(t, daemon, { xid: 102, name: 'bare' })
    const guests = [guest, mortal, inSetup]
    const before = await Promise.all(guests.map(({ path }) => daemon.get(path)))
    const process = await guest.start(sleep)

    await restart(daemon, signal)
    t.same(await xidsOf(daemon), [100, 101, 102])
    const after = await Promise.all(guests.map(({ path }) => daemon.get(path)))
    t.same(
      after.map(({ body }) => body as unknown),
      before.map(({ body }) => body as unknown)
    )
    t.match(await guest.context(), { root, name: 'web1', state: 'running' })
    t.same(
      after.map(({ headers }) => headers.etag),
      before.map(({ headers }) => headers.etag),
      'even the ETag holds'
    )
    t.match(await daemon.get(`/tasks/${process}`), { body: { xid: 100 } })
    t.equal((await guest.processes()).length, 2)

    t.equal((await guest.shell('uname -n; uname -r; cat /marker')).stdout, 'web1\n2.6.22\nthe guest root\n')
    t.equal((await inSetup.shell('echo in')).stdout, 'in\n')
    const waiter = daemon.post(`${guest.path}/wait`)
    t.equal((await daemon.delete(guest.path)).status, 204)
    matches(t, await waiter, { status: 200, body: { term_signal: 'SIGTERM', exit_code: null } })
    t.equal((await mortal.kill('SIGKILL')).status, 204)
    await until('it is gone', async () => (await daemon.get(mortal.path)).status === 404)
    const late = await daemon.post(`${mortal.path}/wait`)
    t.match(late, { status: 200, body: { term_signal: 'SIGKILL' } }, 'the next daemon has waited for it')
    t.equal((await daemon.delete(inSetup.path)).status, 204)
    t.same(contextsInKernel(), [])
    t.same(readdirSync(recordsOf(daemon)), [])
  })
}

void t.test('the exit code of an init that an earlier daemon started is known', needsRoot(), async (t) => {
  const daemon = await started(t)
  const script = 'trap "exit 7" TERM; echo >/tmp/ready; while :; do sleep 0.01; done'
  const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sh', '-c', script] } })
  await until('the trap is set', async () => (await guest.shell('ls /tmp')).stdout === 'ready\n')
  await restart(daemon, 'SIGKILL')
  const waiter = daemon.post(`${guest.path}/wait`)
  await daemon.get('/health')
  t.equal((await guest.kill('SIGTERM', 1)).status, 204)
  matches(t, await waiter, { status: 200, body: { exit_code: 7, term_signal: null } })
})

void t.test('what ended while no daemon ran is gone, and so is its record', needsRoot(), async (t) => {
  const daemon = await started(t)
  const other = await started(t)
  const guest = await guestOf(t, daemon, { xid: 100, init: { argv: sleep } })
  t.ok(existsSync(recordOf(daemon, 100)))
  await restart(daemon, 'SIGKILL', async () => {
    t.equal((await other.delete(guest.path)).status, 204)
  })
  t.same(readdirSync(recordsOf(daemon)), [])
  t.match(await daemon.post(`${guest.path}/wait`), { status: 404, body: { errno: 'ESRCH' } }, 'nobody knows how')
  t.equal((await daemon.post('/contexts', { xid: 100 })).status, 201)
  t.equal((await daemon.delete('/contexts/100')).status, 204)
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

void t.test('a context that is recorded as half-made is removed, whatever runs in it', needsRoot(), async (t) => {
  const daemon = await started(t)
  const running = { flags: ['PERSISTENT'], init: { argv: sleep } }
  await guestOf(t, daemon, { xid: 100 })
  await guestOf(t, daemon, { xid: 101, ...running })
  await guestOf(t, daemon, { xid: 102, init: { argv: sleep } })
  await guestOf(t, daemon, { xid: 103, ...running })
  await restart(daemon, 'SIGKILL', () => {
    for (const xid of [100, 101, 102]) edit(daemon, xid, { settled: false })
  })
  t.same(contextsInKernel(), [103])
  t.same(await xidsOf(daemon), [103])
  t.same(readdirSync(recordsOf(daemon)), ['103.json'])
  for (const xid of [100, 101, 102]) await guestOf(t, daemon, { xid })
})

void t.test('a record is believed of the context only that it is about', needsRoot(), async (t) => {
  const root = guestRoot(t, ['/bin/sh'])
  const daemon = await started(t)
  const guests: Guest[] = []
  for (const xid of [100, 101, 102, 103]) guests.push(await guestOf(t, daemon, { xid, root }))
  await restart(daemon, 'SIGKILL', () => {
    edit(daemon, 100, { boot: 'another one', settled: false })
    edit(daemon, 101, { born: '1', settled: false })
    writeFileSync(recordOf(daemon, 102), '{"root":"/srv","settl')
    writeFileSync(recordOf(daemon, 200), readFileSync(recordOf(daemon, 103)))
    writeFileSync(join(recordsOf(daemon), '103.json.new'), 'cut off')
    writeFileSync(join(recordsOf(daemon), 'stranger'), '')
  })
  t.same(await xidsOf(daemon), [100, 101, 102, 103], 'they stay, for their creation may be somebody else')
  const roots = await Promise.all(guests.map(async (guest) => (await guest.context()).root))
  t.same(roots, [null, null, null, root])
  t.same(readdirSync(recordsOf(daemon)), ['103.json'], 'what is about no context is removed')
})

void t.test(
  'a daemon that dies in the middle of a creation leaves all of a context or nothing',
  needsRoot(),
  async (t) => {
    const ROUNDS = 20
    const STEP_MS = 3
    const daemon = await started(t)
    const seen = { answered: 0, whole: 0, gone: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const xid = 100 + round
      const body = {
        xid,
        name: 'whole',
        uname: { nodename: 'whole' },
        bcaps: ['CHOWN', 'KILL'],
        ccaps: ['SET_UTSNAME'],
        init: { argv: sleep },
        ...(round % 2 && { flags: ['PERSISTENT'] })
      }
      const answer = daemon.post('/contexts', body).then(
        ({ status }) => status,
        () => 'hung up'
      )
      await sleepFor(round * STEP_MS)
      await restart(daemon, 'SIGKILL')
      const isAnswered = (await answer) === 201
      const isThere = contextsInKernel().includes(xid)
      if (isAnswered) seen.answered++
      if (isThere) seen.whole++
      else seen.gone++
      if (isAnswered && !isThere) t.fail(`${xid} was answered and is gone`)
      if (isThere) {
        const guest = new Guest(daemon, xid)
        matches(t, await guest.context(), {
          name: 'whole',
          state: 'running',
          bcaps: { names: ['CHOWN', 'KILL'] },
          ccaps: { names: ['SET_UTSNAME'] },
          uname: { nodename: 'whole' }
        })
        t.equal((await guest.shell('uname -n')).stdout, 'whole\n')
        t.equal((await daemon.delete(guest.path)).status, 204)
      }
      t.same(readdirSync(recordsOf(daemon)), [])
      t.same(contextsInKernel(), [])
    }
    t.comment(JSON.stringify(seen))
    t.equal((await daemon.post('/contexts', { xid: 100 })).status, 201)
    t.equal((await daemon.delete('/contexts/100')).status, 204)
  }
)

void t.test('a second daemon on the same state directory is refused, and harms nothing', needsRoot(), async (t) => {
  const daemon = await started(t)
  const guest = await guestOf(t, daemon, { init: { argv: sleep } })
  const { stateDir, directory } = daemon
  const socket = join(directory, 'second.sock')
  const files = ['--state-dir', stateDir, '--socket', socket, '--audit-log', join(directory, 'second.log')]
  const { code, stderr } = await contextd(['serve', '--driver', 'vserver', ...files])
  t.equal(code, EXIT_FAILED)
  t.match(stderr, new RegExp(`another contextd uses ${stateDir}; give this one its own --state-dir`))
  t.notOk(existsSync(socket))
  t.equal((await guest.context()).state, 'running')
  t.ok(existsSync(recordOf(daemon, guest.xid)))
})

void t.test('two daemons with state directories of their own share the contexts', needsRoot(), async (t) => {
  const root = guestRoot(t, ['/bin/sh', '/bin/cat', '/bin/sleep'])
  const [daemon, other] = [await started(t), await started(t)]
  const guest = await guestOf(t, other, { name: 'theirs', root, init: { argv: sleep } })
  const seen = new Guest(daemon, guest.xid)
  const { root: seenRoot, owner, created_at, ...rest } = await seen.context()
  const { root: theirRoot, owner: maker, created_at: made, ...theirs } = await guest.context()
  t.same(rest, theirs)
  t.same([seenRoot, theirRoot], [null, root], 'the kernel does not tell the root')
  t.same([owner, maker], [null, 0], 'nor who has made it')
  const apart = Math.abs(Date.parse(created_at) - Date.parse(made))
  t.ok(apart < 60_000, 'the time of its creation is that by the kernel')
  t.equal((await seen.shell('cat /marker')).stdout, 'the guest root\n', 'yet it is the root of what enters')

  t.match(await daemon.patch(`${seen.path}/uname`, { nodename: 'other' }), { status: 200 })
  t.equal((await guest.context()).uname.nodename, 'other')
  const waiters = [daemon, other].map((each) => each.post(`${guest.path}/wait`))
  for (const each of [daemon, other]) await each.get('/health')
  t.equal((await daemon.delete(seen.path)).status, 204)
  for (const waiter of waiters) t.match(await waiter, { status: 200, body: { term_signal: 'SIGTERM' } })
  t.equal((await other.get(guest.path)).status, 404)
})

/** make XID FLAGS own|shared COMMAND...: a context as other tools make it, with or without namespaces of its own. */
const makerSource = `
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct word { uint64_t value; };
struct masked { uint64_t value, mask; };

static void call(const char* what, uint32_t command, uint32_t xid, void* data) {
  if (syscall(NUMBER, command, xid, data) >= 0) return;
  perror(what);
  exit(1);
}

int main(int argc, char** argv) {
  uint32_t xid = atoi(argv[1]);
  struct word flags = {strtoull(argv[2], 0, 16)}, spaces = {CLONE_FS | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC};
  struct masked begun = {0, UINT64_C(0x300000000)};  /* STATE_SETUP, STATE_INIT */
  int own = strcmp(argv[3], "own") == 0;
  if (own && unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) < 0) return perror("unshare"), 1;
  call("ctx_create", 0x09010001, xid, &flags);
  if (own) call("set_space", 0x0A030001, xid, &spaces);
  call("set_cflags", 0x34020000, xid, &begun);
  if (argc > 4) execv(argv[4], argv + 4);
  return 0;
}
`

const MACHINE_NUMBER = 236 // vserver(2) on x86_64, where the emulator runs
const STATES = 0x7_0000_0000n
const PERSISTENT = 0x40_0000_0000n

void t.test('contexts that others made are listed, read, entered and ended', needsRoot(), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-maker-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const maker = join(directory, 'maker')
  writeFileSync(`${maker}.c`, makerSource)
  execFileSync('cc', ['-O2', `-DNUMBER=${MACHINE_NUMBER}`, '-o', maker, `${maker}.c`])
  const daemon = await started(t)

  const kept = (STATES | PERSISTENT).toString(16)
  t.match(await run(maker, ['300', kept, 'own']), { code: 0, stderr: '' })
  t.match(await run(maker, ['301', kept, 'shared']), { code: 0, stderr: '' })
  const running = spawn(maker, ['302', STATES.toString(16), 'own', ...sleep], { stdio: 'ignore' })
  await until('it runs', async () => (await daemon.get('/contexts/302')).status === 200)
  t.same(await xidsOf(daemon), [300, 301, 302])

  const empty = new Guest(daemon, 300)
  matches(t, await empty.context(), { state: 'empty', initpid: 0, root: null, name: null })
  t.equal((await empty.shell('echo in')).stdout, 'in\n')
  t.match(await daemon.patch(`${empty.path}/uname`, { context: 'found', nodename: 'found' }), { status: 200 })
  t.equal((await empty.shell('uname -n')).stdout, 'found\n')

  const shared = new Guest(daemon, 301)
  matches(
    t,
    (await shared.context()).uname,
    { context: '', nodename: null, sysname: null },
    'the names are those of the host'
  )
  t.match(await daemon.put(`${shared.path}/uname/nodename`, { value: 'x' }), { status: 422, body: { errno: 'EINVAL' } })

  const alive = new Guest(daemon, 302)
  await until('its init is there', async () => (await alive.processes())[0]?.comm === 'sleep')
  t.match(await alive.context(), { state: 'running', initpid: running.pid })
  t.match(await daemon.get(`/tasks/${running.pid}`), { body: { xid: 302 } })
  t.match(await daemon.patch(`${alive.path}/bcaps`, { clear: ['SYS_ADMIN'] }), { status: 200, body: { changed: true } })

  await restart(daemon, 'SIGKILL')
  t.same(await xidsOf(daemon), [300, 301, 302], 'the next daemon leaves them alone')
  const waiter = daemon.post(`${alive.path}/wait`)
  await daemon.get('/health')
  for (const { path } of [empty, shared, alive]) t.equal((await daemon.delete(path)).status, 204)
  t.match(await waiter, { status: 200, body: { xid: 302, term_signal: 'SIGTERM' } })
  t.same(contextsInKernel(), [])
})

/** On a kernel that is as old as those with vserver(2) are: none of the newer system calls may be needed. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { run } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { emulatorPath, hasVserver } from '../support/emulator.js'
import { expect, guestOf, shortLife } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { isIdle, needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

const sleep = ['/bin/sleep', '1000']

/** Asks for each call with arguments that a kernel with it would not answer by ENOSYS. */
const probeSource = `
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void ask(const char* name, long number) {
  long result = syscall(number, -1, 0, 0, 0, 0, 0);
  printf("%s %s\\n", name, result < 0 ? strerrorname_np(errno) : "answered");
}

int main(void) {
  ask("clone3", 435);
  ask("pidfd_send_signal", 424);
  ask("pidfd_open", 434);
  ask("openat2", 437);
  ask("close_range", 436);
  ask("statx", 332);
  ask("memfd_create", SYS_memfd_create);
  return 0;
}
`

const ofOldKernel = [
  'clone3 ENOSYS',
  'pidfd_send_signal ENOSYS',
  'pidfd_open ENOSYS',
  'openat2 ENOSYS',
  'close_range ENOSYS',
  'statx ENOSYS',
  'memfd_create EFAULT', // Linux 3.17 has it
  ''
].join('\n')

let daemon: TestDaemon
let directory: string
let probe: string
t.before(async () => {
  if (needsRoot().skip) return
  directory = mkdtempSync(join(tmpdir(), 'contextd-probe-'))
  probe = join(directory, 'probe')
  writeFileSync(`${probe}.c`, probeSource)
  execFileSync('cc', ['-static', '-o', probe, `${probe}.c`])
  daemon = await TestDaemon.start('vserver', { emulator: [] })
})
t.teardown(async () => {
  await (daemon as TestDaemon | undefined)?.cleanUp()
  if (directory) rmSync(directory, { recursive: true })
})

void t.test('the newer calls are not there, on the host and in a guest', needsRoot(), async (t) => {
  if (!hasVserver()) t.notMatch((await run(probe, [])).stdout, 'ENOSYS', 'this machine itself has all of them')
  const [program = '', ...args] = hasVserver() ? [probe] : [emulatorPath, '--', probe]
  t.same(await run(program, args), { code: 0, stdout: ofOldKernel, stderr: '' })
  const root = guestRoot(t, ['/bin/sleep'])
  copyFileSync(probe, join(root, 'probe'))
  const guest = await guestOf(t, daemon, { root, init: { argv: sleep } })
  t.equal((await guest.capture(['/probe'])).stdout, ofOldKernel)
})

void t.test('a context lives its whole life there', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, {
    name: 'old',
    uname: { nodename: 'old' },
    flags: ['PERSISTENT'],
    init: { argv: sleep }
  })
  const { initpid, state } = await guest.context()
  t.equal(state, 'running')
  t.equal((await guest.shell('uname -n')).stdout, 'old\n')
  const pid = await guest.start(sleep)
  t.same(
    (await guest.processes()).map((listed) => [listed.pid, listed.comm]).sort(),
    [
      [initpid, 'sleep'],
      [pid, 'sleep']
    ].sort()
  )
  t.match(await daemon.get(`/tasks/${pid}`), { body: { xid: guest.xid } })
  const waiter = daemon.post(`${guest.path}/wait`)
  t.equal((await guest.kill('SIGTERM', pid)).status, 204)
  await until('one is gone', async () => (await guest.processes()).length === 1)
  t.equal((await daemon.delete(guest.path)).status, 204)
  matches(t, await waiter, { status: 200, body: { xid: guest.xid, term_signal: 'SIGTERM', exit_code: null } })
  t.equal((await daemon.get(guest.path)).status, 404)
})

void t.test('with a root of its own, and users', needsRoot(), async (t) => {
  const root = guestRoot(t, ['/bin/sh', '/bin/cat', '/bin/ls', '/bin/sleep', '/usr/bin/id'])
  const guest = await guestOf(t, daemon, { root, init: { argv: ['/bin/sh', '-c', 'sleep 1000; :'] } })
  t.equal((await guest.shell('cat /marker; ls /')).stdout.split('\n')[0], 'the guest root')
  t.match(await guest.shell('ls /home'), { exit_code: 2 }, "nothing of the host's")
  chmodSync(root, 0o755) // for whoever is not root
  const user = { uid: 1000, gid: 1001, groups: [1002, 1003] }
  t.match(await guest.capture(['/usr/bin/id'], { user }), {
    stdout: 'uid=1000 gid=1001 groups=1001,1002,1003\n',
    exit_code: 0
  })
  t.match(await guest.shell('cat /proc/self/comm'), { stdout: 'cat\n' })
})

void t.test('output, input and exit of a captured process', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { init: { argv: sleep } })
  t.match(await guest.shell('echo out; echo err >&2; exit 3'), { stdout: 'out\n', stderr: 'err\n', exit_code: 3 })
  const stdin = 'a line of input\n'.repeat(60_000 / 16)
  t.equal((await guest.capture(['/bin/cat'], { stdin })).stdout, stdin)
  matches(t, await guest.shell('kill -SEGV $$'), { exit_code: null, term_signal: 'SIGSEGV' })
  t.match(
    await guest.shell('sleep 1000 & echo done'),
    { stdout: 'done\n', exit_code: 0 },
    'who stays is not waited for'
  )
})

void t.test('the timeout ends the whole process group, and nobody else', needsRoot(), async (t) => {
  const guest = await guestOf(t, daemon, { init: { argv: sleep } })
  const { initpid } = await guest.context()
  const script = 'echo begun; sleep 1000 & sh -c "sleep 1000; :" & sleep 1000'
  const result = await guest.shell(script, shortLife)
  matches(t, result, { stdout: 'begun\n', timed_out: true, term_signal: 'SIGKILL', exit_code: null })
  await until('only the init is left', async () => (await guest.processes()).length === 1)
  matches(t, await guest.processes(), [{ pid: initpid }])

  await guest.start(['/bin/sh', '-c', script], shortLife)
  await until('only the init is left', async () => (await guest.processes()).length === 1)
  matches(t, await guest.processes(), [{ pid: initpid }])
  t.match(await guest.shell('echo in time', { timeout: 60 }), { stdout: 'in time\n', timed_out: false, exit_code: 0 })
})

void t.test('the exit code of an init', needsRoot(), async (t) => {
  const init = { argv: ['/bin/sh', '-c', 'exit 42'] }
  const { xid } = expect<Context>(201, await daemon.post('/contexts', { init }))
  matches(t, await daemon.post(`/contexts/${xid}/wait`), { status: 200, body: { exit_code: 42, term_signal: null } })
  await until('no launcher works', () => isIdle(daemon.pid))
})

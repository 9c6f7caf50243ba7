/** SC_HELPER on a stock kernel: what the audit log and the program of --helper hear of a context. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { HelperRecord } from '../../daemon/audit/record.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

interface Helper {
  daemon: TestDaemon
  /** What the program has written so far, line by line. */
  lines: () => string[]
}

/** A daemon whose helper program is this script of sh; $LOG is where it may write. */
async function withHelper(t: Test, script: string): Promise<Helper> {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  const [program, log] = [join(directory, 'helper $(x)'), join(directory, 'log')]
  writeFileSync(log, '')
  writeFileSync(program, `#!/bin/sh\nLOG=${log}\n${script}\n`)
  chmodSync(program, 0o755)
  process.env.CONTEXTD_HELPER = program
  // Without what tap has every Node process load, which adds to the environment of all that such a process starts.
  const daemon = await TestDaemon.start('namespaces', { through: ['env', '-u', 'NODE_OPTIONS'] })
  t.teardown(async () => {
    await daemon.cleanUp()
    rmSync(directory, { recursive: true, force: true })
  })
  return { daemon, lines: () => readFileSync(log, 'utf8').split('\n').filter(Boolean) }
}

const actions = (daemon: TestDaemon, xid: number) =>
  (daemon.audit() as HelperRecord[])
    .filter((record) => (record.event as string | undefined) === 'helper' && record.xid === xid)
    .map(({ action }) => action)

const reboots = (cmd: number) => [
  'perl',
  '-e',
  `syscall(${process.arch === 'arm64' ? 142 : 169}, 0xfee1dead, 672274793, ${cmd}, 0); exit 1`
]
const RESTART = 0x01234567
const flags = ['SC_HELPER']

void t.test('the program is run at the start and the end, as kernel.vshelper is', needsRoot(), async (t) => {
  const { daemon, lines } = await withHelper(t, 'echo "$0 $* $(pwd) $(id -u) $(env | sort | tr "\\n" " ")" >>$LOG')
  const reply = await daemon.post('/contexts?wait', { xid: 100, flags, init: { argv: ['/bin/true'] } })
  t.equal(reply.status, 200)
  await until('it has ended', () => lines().length === 2)
  const run = (action: string, cmd: number) =>
    `${process.env.CONTEXTD_HELPER} ${action} 100 / 0 HOME=/ PATH=/sbin:/usr/sbin:/bin:/usr/bin PWD=/ TERM=linux VS_CMD=0000000${cmd} `
  t.same(lines(), [run('startup', 1), run('shutdown', 2)])
  t.same(actions(daemon, 100), ['startup', 'shutdown'])
})

void t.test('reboot(2) is told between start and end', needsRoot(), async (t) => {
  const { daemon, lines } = await withHelper(t, 'echo $1 $VS_CMD >>$LOG')
  t.match(await daemon.post('/contexts?wait', { xid: 100, flags, init: { argv: reboots(RESTART) } }), { status: 200 })
  await until('it has ended', () => lines().length === 3)
  t.same(lines(), ['startup 00000001', 'restart 01234567', 'shutdown 00000002'])
  // Without an init, in a persistent context that goes on.
  const guest = await guestOf(t, daemon, { flags: ['SC_HELPER', 'PERSISTENT'] })
  await guest.start(reboots(RESTART))
  await guest.isEmpty()
  t.same(actions(daemon, guest.xid), ['startup', 'restart'])
})

void t.test('without the flag nothing is told, and it can be set and cleared at any time', needsRoot(), async (t) => {
  const { daemon } = await withHelper(t, 'exit 0')
  for (const [xid, given, change, told] of [
    [100, [], undefined, []],
    [101, [], { set: flags }, ['shutdown']],
    [102, flags, { clear: flags }, ['startup']]
  ] as const) {
    const guest = await guestOf(t, daemon, { xid, flags: ['PERSISTENT', ...given] })
    if (change) t.equal((await daemon.patch(`${guest.path}/flags`, change)).status, 200)
    await daemon.delete(`${guest.path}?grace=0`)
    t.same(actions(daemon, guest.xid), told)
  }
})

void t.test('a context that could not be made is not told of', needsRoot(), async (t) => {
  const { daemon } = await withHelper(t, 'exit 0')
  t.match(await daemon.post('/contexts', { xid: 100, flags, init: { argv: ['/no/such'] } }), { status: 422 })
  t.same(actions(daemon, 100), [])
})

void t.test('a program that fails or hangs is logged, and hurts no context', needsRoot(), async (t) => {
  const { daemon, lines } = await withHelper(t, 'echo $1 >>$LOG; [ $1 = startup ] && exec sleep 1000; exit 3')
  const guest = await guestOf(t, daemon, { flags: ['SC_HELPER', 'PERSISTENT'] })
  t.equal((await guest.capture(['/bin/true'])).exit_code, 0)
  t.equal((await daemon.delete(guest.path)).status, 204)
  // The second call of a context waits for the first, which is given 10 s.
  await until('both are logged', () => daemon.stderr.split('the helper failed').length === 3)
  t.match(daemon.stderr, '"reason":"ended by SIGKILL"')
  t.match(daemon.stderr, '"reason":"exit code 3"')
  t.same(lines(), ['startup', 'shutdown'])
})

void t.test('the end of a context while no daemon runs is told by the next one', needsRoot(), async (t) => {
  const { daemon, lines } = await withHelper(t, 'echo $1 >>$LOG')
  const guest = await guestOf(t, daemon, { flags, init: { argv: ['/bin/sleep', '1000'] } })
  const { initpid } = await guest.context()
  await daemon.stop('SIGKILL')
  process.kill(initpid, 'SIGKILL')
  await daemon.boot()
  await until('it is told', () => lines().includes('shutdown'))
  t.same(lines(), ['startup', 'shutdown'])
})

void t.test('a program that cannot be executed is refused at the start', async (t) => {
  for (const [path, reason] of [
    ['/no/such', 'ENOENT'],
    ['/etc/passwd', 'EACCES'],
    ['helper', 'not an absolute path']
  ]) {
    const { code, stderr } = await contextd(['serve', '--driver', 'memory', '--helper', path ?? ''])
    t.equal(code, 2)
    t.match(stderr, `helper ${path}: ${reason}`)
  }
})

/** reboot(2) in a guest, and the program that the kernel runs for it. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { HelperRecord } from '../../daemon/audit/record.js'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { folder } from '../support/folder.js'
import { guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'

/** Exits with the errno, for a test to see. */
const reboot = (cmd: number) => `exit(syscall(169, 0xfee1dead, 672274793, ${cmd}, 0) < 0 ? $!+0 : 0)`
const RESTART = 0x01234567
const HALT = 0xcdef0123
const rebooting = (cmd: number) => ({ argv: ['perl', '-e', `${reboot(cmd)}; sleep 1000`] })

const helperRecords = (daemon: TestDaemon) =>
  (daemon.audit() as HelperRecord[]).filter(({ event }) => (event as string | undefined) === 'helper')

void t.test('with the helper a guest ends by reboot(2), and all hear how', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('vserver', { emulator: [], vshelper: true })
  t.teardown(() => daemon.cleanUp())
  daemon.writeHelper()
  for (const [cmd, name, action] of [
    [RESTART, 'RESTART', 'restart'],
    [HALT, 'HALT', 'halt']
  ] as const) {
    const reply = await daemon.post('/contexts?wait', { xid: 100, flags: ['REBOOT_KILL'], init: rebooting(cmd) })
    t.match(reply, { status: 200, body: { xid: 100, reboot_cmd: name, term_signal: 'SIGKILL' } })
    const heard = await until('it is announced', () => helperRecords(daemon).find((record) => record.action === action))
    t.match(heard, { event: 'helper', xid: 100, action, uid: 0, pid: Number, time: /^20.*Z$/ })
    t.match(daemon.stderr, new RegExp(`"action":"${action}"`), 'and logged')
  }
  t.same(readdirSync(join(daemon.stateDir, 'helper')), [], 'no record is left over')
})

void t.test('without REBOOT_KILL the guest goes on, and the word is kept', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('vserver', { emulator: [], vshelper: true })
  t.teardown(() => daemon.cleanUp())
  daemon.writeHelper()
  const guest = await guestOf(t, daemon, { init: { argv: ['sleep', '1000'] } })
  t.equal((await guest.capture(['perl', '-e', reboot(HALT)])).exit_code, 0)
  t.equal((await guest.context()).state, 'running')
  await guest.kill('SIGKILL')
  t.match(await daemon.post(`${guest.path}/wait`), {
    status: 200,
    body: { reboot_cmd: 'HALT', term_signal: 'SIGKILL' }
  })
})

void t.test(
  'a helper that fails changes nothing for the guest; without one reboot(2) is refused',
  needsRoot(),
  async (t) => {
    for (const [script, errno] of [
      ['exit 1', 0],
      [undefined, constants.errno.EPERM]
    ] as const) {
      const daemon = await TestDaemon.start('vserver', { emulator: [], vshelper: true })
      t.teardown(() => daemon.cleanUp())
      if (script !== undefined) daemon.writeHelper(script)
      const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'] })
      t.equal((await guest.capture(['perl', '-e', reboot(RESTART)])).exit_code, errno)
      const warns = /reboot\(2\) in guests fails: kernel\.vshelper is .*vshelper, which cannot be executed/
      t.match(daemon.stderr, warns, 'the daemon has said so at its start')
    }
  }
)

void t.test('what happened while no daemon ran is announced by the next', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('vserver', { emulator: [] })
  t.teardown(() => daemon.cleanUp())
  await daemon.stop()
  const done = await contextd(['vshelper', 'poweroff', '4711', '--state-dir', daemon.stateDir], {
    env: { ...process.env, VS_CMD: '4321fedc', VS_UID: '0', VS_PID: '17' }
  })
  t.same(done, { code: 0, stdout: '', stderr: '' })
  await daemon.boot()
  const heard = await until('it is announced', () => helperRecords(daemon).find(({ xid }) => xid === 4711))
  t.match(heard, { event: 'helper', action: 'poweroff', uid: 0, pid: 17 })
})

void t.test('vshelper takes what a kernel says, and nothing else', async (t) => {
  const stateDir = join(folder(t), 'state')
  const more = ['--state-dir', stateDir]
  for (const args of [
    [],
    ['restart'],
    ['reboot', '100'],
    ['restart', '1'],
    ['restart', '65536'],
    ['restart', '../x'],
    ['restart', '100', '200'],
    ['restart', '100', '--no-such']
  ]) {
    const { code, stderr } = await contextd(['vshelper', ...args, ...more])
    t.equal(code, 2, args.join(' '))
    t.match(stderr, /^contextd: /)
  }
  t.notOk(existsSync(stateDir), 'nothing is recorded')
  t.match(await contextd(['vshelper', '--help']), { code: 0, stdout: /restart \| halt \| poweroff/ })
  writeFileSync(stateDir, 'no directory')
  t.match(await contextd(['vshelper', 'restart', '100', ...more]), { code: 1, stderr: /mkdir: ENOTDIR/ })
})

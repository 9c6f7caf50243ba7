/** The vserver driver where there is no Linux-VServer: this is an ordinary kernel, or one that an emulator plays. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'

import { contextd, run } from '../../support/command.js'
import { mainPath, TestDaemon } from '../../support/daemon.js'
import { emulatorPath, hasVserver, needsEmulator } from '../../support/emulator.js'
import { matches } from '../../support/matches.js'
import { needsRoot } from '../../support/proc.js'

const bothReasons = /^contextd: Linux .*no Linux-VServer kernel, or contextd lacks CAP_CONTEXT.* \(vserver: ENOSYS\)\n$/

const directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
t.teardown(() => {
  rmSync(directory, { recursive: true, force: true })
})
const args = (driver: string) => [
  ...['serve', '--driver', driver, '--socket', join(directory, 's'), '--audit-log', join(directory, 'a')],
  ...['--state-dir', join(directory, 'state'), '--log-dir', join(directory, 'log')]
]

const ordinary = { skip: hasVserver() ? 'this is no ordinary kernel' : false }

void t.test(
  'on an ordinary kernel it refuses to start, with one message that has both reasons',
  ordinary,
  async (t) => {
    const { code, stdout, stderr } = await contextd(args('vserver'))
    t.same([code, stdout], [1, ''])
    t.match(stderr, bothReasons)
  }
)

void t.test('on its own kernel a root without the power is told what it lacks', needsRoot(), async (t) => {
  const powerless = ['setpriv', '--bounding-set', '-sys_admin', process.execPath, mainPath, ...args('vserver')]
  const [program = '', ...rest] = hasVserver() ? powerless : [emulatorPath, '--', ...powerless]
  const { code, stderr } = await run(program, rest)
  t.equal(code, 1)
  t.match(stderr, /^contextd: .*contextd lacks CAP_(CONTEXT|SYS_ADMIN).*\n$/)
})

void t.test('auto goes on to namespaces, and says why', { skip: ordinary.skip || needsRoot().skip }, async (t) => {
  const daemon = await TestDaemon.start('auto')
  t.teardown(() => daemon.cleanUp())
  matches(t, (await daemon.get('/version')).body, {
    driver: 'namespaces',
    passed: [/^vserver: Linux .*CAP_CONTEXT.* \(vserver: ENOSYS\)$/]
  })
})

void t.test(
  'auto takes it where the kernel has it, and /vocabulary knows its capabilities',
  needsEmulator(),
  async (t) => {
    for (const [version, abi, contextBit] of [
      ['0x00020308', 'vs2.3', 63],
      ['0x00020200', 'seed', 31]
    ] as const) {
      const daemon = await TestDaemon.start('auto', { emulator: [`--abi-version`, version] })
      t.teardown(() => daemon.cleanUp())
      t.match((await daemon.get('/version')).body, {
        driver: 'vserver',
        bcaps_abi: abi,
        about: /^Linux-VServer 2\.[23]/
      })
      const { bcaps } = (await daemon.get('/vocabulary')).body as { bcaps: { name: string; bit: number }[] }
      t.equal(bcaps.find(({ name }) => name === 'CONTEXT')?.bit, contextBit)
      await daemon.stop()
    }
  }
)

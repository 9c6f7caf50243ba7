import t from 'tap'
import { rebootCommands, rebootName, signalToRebootCmd } from '../../daemon/vocabulary/reboot.js'
import { parseSignal } from '../../daemon/vocabulary/signals.js'

void t.test('the commands have the words of linux/reboot.h', async (t) => {
  t.strictSame(Object.fromEntries(rebootCommands.map(({ name, cmd }) => [name, cmd])), {
    RESTART: 0x01234567,
    HALT: 0xcdef0123,
    CAD_ON: 0x89abcdef,
    CAD_OFF: 0x00000000,
    POWER_OFF: 0x4321fedc,
    RESTART2: 0xa1b2c3d4,
    SW_SUSPEND: 0xd000fce2,
    KEXEC: 0x45584543,
    OOM: 0xdeadbeef
  })
})

void t.test('a recorded word is named whether it was read as signed or unsigned', async (t) => {
  t.equal(rebootName(0x01234567), 'RESTART')
  t.equal(rebootName(0xcdef0123), 'HALT')
  t.equal(rebootName(0xcdef0123 | 0), 'HALT')
  t.equal(rebootName(0x4321fedc), 'POWER_OFF')
})

void t.test('no reboot and an unknown word have no name', async (t) => {
  t.equal(rebootName(0), undefined)
  t.equal(rebootName(1), undefined)
})

void t.test('a PID namespace tells its reboot by the signal its init died of', async (t) => {
  const asked = (signal: string) => rebootName(signalToRebootCmd.get(parseSignal(signal)) ?? 0)
  t.equal(asked('SIGHUP'), 'RESTART')
  t.equal(asked('SIGINT'), 'HALT')
  t.equal(asked('SIGKILL'), undefined)
  t.equal(signalToRebootCmd.size, 2)
})

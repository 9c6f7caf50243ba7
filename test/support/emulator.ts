/** The emulator of vserver(2), which is built from test/emulator. */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { vserver } from '../../daemon/drivers/native.js'
import { needsRoot } from './proc.js'

export const emulatorPath = fileURLToPath(new URL('../emulator/emulator', import.meta.url))

/**
 * This process is on a Linux-VServer kernel: a real one, or one that an emulator plays for the whole run. Daemons are
 * started as they are then, and outlive nothing: contexts go on without them.
 */
export const hasVserver = (() => {
  let answer: boolean | undefined
  return () => (answer ??= answersVersion())
})()

function answersVersion(): boolean {
  try {
    return vserver.callNumber >= 0 && vserver.getVersion() > 0
  } catch {
    return false // ENOSYS
  }
}

/** The options of a test for which calls have to be written down, or made to fail: no kernel does that. */
export const needsEmulator = () => (hasVserver() ? { skip: 'needs an emulator of its own' } : needsRoot())

/** Where this kernel lists its contexts. */
export const procVirtual = () => process.env.CONTEXTD_PROC_VIRTUAL ?? '/proc/virtual'

export const contextsInKernel = () =>
  readdirSync(procVirtual())
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)

const PERSISTENT = 1n << 38n

/** Ends a context by the kernel's own commands, whatever daemon there is. Without STATE_ADMIN its init alone can be told. */
export function endContext(xid: number): void {
  const calls = [
    () => {
      vserver.setCflags(xid, 0n, PERSISTENT)
    },
    ...[0, 1].map((pid) => () => {
      vserver.ctxKill(xid, pid, constants.signals.SIGKILL)
    })
  ]
  for (const call of calls)
    try {
      call()
    } catch {
      // ESRCH: gone, or empty.
    }
}

/** Arguments of an emulator in which a whole test file runs; its helper can be anything that the tests put there. */
export const emulated = (file: string) => [
  ...['--vshelper', join(tmpdir(), `contextd-vshelper-${process.pid}`)],
  ...['--', process.execPath, fileURLToPath(file)]
]

/**
 * Runs this test file once more, under the emulator, and ends with its exit code: for tests that start more than one
 * daemon, for the contexts of an emulator end with it. Returns where the kernel has the call.
 */
export function rerunEmulated(file: string): void {
  if (hasVserver()) return
  const { status } = spawnSync(emulatorPath, emulated(file), { stdio: 'inherit' })
  process.exit(status ?? 1)
}

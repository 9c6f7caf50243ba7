import { SIGHUP, SIGINT } from './signals.js'

/** One command word of reboot(2); the name is without LINUX_REBOOT_CMD_, the word is unsigned. */
export interface RebootCommand {
  readonly name: string
  readonly cmd: number
  readonly meaning: string
  readonly source: string
}

const linux = (cmd: number, name: string, meaning: string): RebootCommand => ({
  name,
  cmd,
  meaning,
  source: 'linux/reboot.h, reboot(2)'
})

const RESTART = 0x01234567
const HALT = 0xcdef0123

export const rebootCommands: readonly RebootCommand[] = [
  linux(0x00000000, 'CAD_OFF', 'Ctrl-Alt-Del sends SIGINT to init'),
  linux(RESTART, 'RESTART', 'Restart the system'),
  linux(0x4321fedc, 'POWER_OFF', 'Stop the system and remove all power from it, if possible'),
  linux(0x45584543, 'KEXEC', 'Execute a kernel loaded earlier with kexec_load(2)'),
  linux(0x89abcdef, 'CAD_ON', 'Ctrl-Alt-Del restarts the system at once'),
  linux(0xa1b2c3d4, 'RESTART2', 'Restart the system using a given command string'),
  linux(HALT, 'HALT', 'Halt the system'),
  // linux/reboot.h; reboot(2) prints 0xd000fce1.
  linux(0xd000fce2, 'SW_SUSPEND', 'Suspend the system to disk'),
  {
    name: 'OOM',
    cmd: 0xdeadbeef,
    meaning: 'Context is out of memory; no call of a guest, the kernel records it',
    source: 'Linux-VServer 2.3 (linux/reboot.h)'
  }
]

/** The word of a command, by its name. */
export function rebootWord(name: string): number {
  const found = rebootCommands.find((command) => command.name === name)
  if (!found) throw new Error(`there is no reboot command ${name}`)
  return found.cmd
}

const nameOf = new Map(rebootCommands.map(({ cmd, name }) => [cmd, name]))

/**
 * The name of a recorded reboot command, signed as in wait_exit's struct or unsigned; undefined for a word without one.
 * Undefined for 0 as well: a context starts with it, so it says that there was no reboot(2), not CAD_OFF.
 */
export function rebootName(cmd: number): string | undefined {
  return cmd === 0 ? undefined : nameOf.get(cmd >>> 0)
}

/**
 * What reboot(2) in a PID namespace was asked, by the signal its init is reported to have died of ("Behavior inside PID
 * namespaces"). RESTART2 arrives as RESTART and POWER_OFF as HALT; no other signal ends it so, for the kernel
 * discards the fatal ones that it does not handle, but SIGKILL.
 */
export const signalToRebootCmd: ReadonlyMap<number, number> = new Map([
  [SIGHUP, RESTART],
  [SIGINT, HALT]
])

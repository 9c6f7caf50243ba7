/** Namespaces that a context has of its own when a flag is given at its creation. */
import { existsSync } from 'node:fs'
import { flags } from '../../vocabulary/flags.js'

interface Space {
  flag: string
  /** CLONE_* (linux/sched.h). */
  clone: bigint
  /** Is there where the kernel has it (namespaces(7)). */
  file: string
}

const spaces: readonly Space[] = [
  { flag: 'VIRT_UPTIME', clone: 0x80n, file: '/proc/self/ns/time_for_children' },
  { flag: 'HIDE_NETIF', clone: 0x40000000n, file: '/proc/self/ns/net' }
]

export const CLONE_NEWTIME = 0x80n

/** Flags that this kernel has no namespace for, and why. */
export const missingSpaces: ReadonlyMap<string, string> = new Map(
  spaces.filter(({ file }) => !existsSync(file)).map(({ flag, file }) => [flag, `this kernel has no ${file}`])
)

/** CLONE_* bits for the flags of a new context. */
export function spacesFor(word: bigint): bigint {
  return spaces
    .filter(({ flag }) => (word & flags.bit(flag)) !== 0n && !missingSpaces.has(flag))
    .reduce((bits, { clone }) => bits | clone, 0n)
}

/**
 * The kernel is the database: what it does not hold itself is kept in extended attributes of the context's own
 * cgroup directory, so that state can neither outlive nor miss its context, and a new daemon finds all of it.
 */
import type { UnameField } from '../../vocabulary/uname.js'
import { formatWord, parseWord } from '../../vocabulary/word.js'
import { native } from '../native.js'

/** `trusted.` attributes need CAP_SYS_ADMIN to be read or written: no guest sees them (xattr(7)). */
const PREFIX = 'trusted.contextd.'

/**
 * `pid1` ("PID init" or "PID reaper"), `exit` and `last_exit` (wait statuses of init and of the last other task) are
 * written by the launcher, and cleared to the empty string here before PID 1 is started again.
 * `own_names` is "1" when a process of this run could change its UTS names itself.
 * `created_at` is written last when a context is made: a directory without it is half-made.
 */
export type Attribute =
  'flags' | 'bcaps' | 'ccaps' | 'root' | 'created_at' | 'pid1' | 'exit' | 'last_exit' | 'own_names' | UnameField

export function writeAttribute(path: string, name: Attribute, value: string): void {
  native.setAttribute(path, PREFIX + name, value)
}

export function readAttribute(path: string, name: Attribute): string | undefined {
  return native.getAttribute(path, PREFIX + name)
}

export function writeWord(path: string, name: 'flags' | 'bcaps' | 'ccaps', word: bigint): void {
  writeAttribute(path, name, formatWord(word))
}

export function readWord(path: string, name: 'flags' | 'bcaps' | 'ccaps'): bigint {
  return parseWord(readAttribute(path, name) ?? '0x0')
}

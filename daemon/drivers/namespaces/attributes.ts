/**
 * The kernel is the database: what it does not hold itself is kept in extended attributes of the context's own
 * cgroup directory, so that state can neither outlive nor miss its context, and a new daemon finds all of it.
 */
import type { UnameField } from '../../vocabulary/uname.js'
import { formatWord, parseWord } from '../../vocabulary/word.js'
import { native } from '../native.js'
import type { Places } from '../past-deaths.js'

/** `trusted.` attributes need CAP_SYS_ADMIN to be read or written: no guest sees them (xattr(7)). */
const PREFIX = 'trusted.contextd.'

/**
 * `pid1` ("PID init" or "PID reaper"), `exit` and `last_exit` (of init and of the last other task: wait status, and
 * whether it was killed for lack of memory, oom.h) are written by the launcher, and cleared to the empty string here
 * before PID 1 is started again.
 * `offset` too: host uptime in nanoseconds at which a guest's own uptime began.
 * And `asked`, the signal that SIGKILL stood in for when it was sent to init: signal.cc.
 * And `forks`, the forks of all runs up to the last one; none when they are not known.
 * `ended` ("STATUS OOM REBOOT_CMD") is how a persistent context's last run ended, kept through the runs after it.
 * `shim` ("PID START_TIME PROTOCOL") is written by a shim: where a later daemon finds it.
 * `spaces` has the CLONE_* bits of the namespaces that the context has by its flags at creation.
 * `lxcfs` has the files of lxcfs that the context has by its flags at creation.
 * `limits` has their values as JSON, those that are null left out; it is missing until one is set.
 * `own_names` is "1" when a process of this run could change its UTS names itself.
 * `owner` is the uid that has made the context.
 * `created_at` is written last when a context is made: a directory without it is half-made.
 */
export type Attribute =
  | 'flags'
  | 'bcaps'
  | 'ccaps'
  | 'spaces'
  | 'offset'
  | 'owner'
  | 'root'
  | 'created_at'
  | 'pid1'
  | 'exit'
  | 'last_exit'
  | 'ended'
  | 'asked'
  | 'forks'
  | 'shim'
  | 'own_names'
  | 'limits'
  | 'lxcfs'
  | UnameField

export type Attributes = Readonly<Partial<Record<Attribute, string>>>

/** Of the directory that contexts are in: one of the last deaths each. */
export const deathsIn = (path: string): Places => ({
  read: (place) => native.getAttribute(path, `${PREFIX}death.${place}`),
  write: (place, text) => {
    native.setAttribute(path, `${PREFIX}death.${place}`, text)
  }
})

type WordAttribute = 'flags' | 'bcaps' | 'ccaps' | 'spaces'

export function writeAttribute(path: string, name: Attribute, value: string): void {
  native.setAttribute(path, PREFIX + name, value)
}

export function readAttribute(path: string, name: Attribute): string | undefined {
  return native.getAttribute(path, PREFIX + name)
}

/** All that there are, for a fraction of what reading each costs. */
export function readAttributes(path: string): Attributes {
  return native.getAttributes(path, PREFIX)
}

export function writeWord(path: string, name: WordAttribute, word: bigint): void {
  writeAttribute(path, name, formatWord(word))
}

export function wordOf(attributes: Attributes, name: WordAttribute): bigint {
  return parseWord(attributes[name] ?? '0x0')
}

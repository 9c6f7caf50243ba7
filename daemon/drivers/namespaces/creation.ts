/** A new context: its cgroup, and what is known of it from the start. */
import { mkdirSync } from 'node:fs'
import { WORD_MAX } from '../../vocabulary/word.js'
import type { CreateData } from '../driver.js'
import { withErrno } from '../errors.js'
import { setFrozen, type CgroupHome } from './cgroups.js'
import { Context } from './context.js'
import type { ForkCounter } from './forks.js'
import { applyDefaults } from './limits.js'
import { lxcfsFiles } from './lxcfs.js'
import { spacesFor } from './spaces.js'

/**
 * @param isVirtual whether lxcfs serves a flag's files here
 * @throws CallError what the kernel answers to mkdir(2)
 */
export function makeContext(
  home: CgroupHome,
  forks: ForkCounter | undefined,
  xid: number,
  data: CreateData,
  isVirtual: (flag: string) => boolean
): Context {
  const context = new Context(xid, home.path(xid), home.line(xid))
  withErrno('mkdir', context.path, () => {
    mkdirSync(context.path, { mode: 0o755 })
  })
  applyDefaults(context.path, home)
  context.flags = data.flags
  context.forks = forks?.count(context.path, xid, 0)
  if (context.paused) setFrozen(context.path, true)
  context.spaces = spacesFor(data.flags)
  context.lxcfs = lxcfsFiles(data.flags, isVirtual)
  context.bcaps = WORD_MAX
  context.owner = data.owner
  context.root = data.root ?? null
  context.createdAt = new Date().toISOString()
  return context
}

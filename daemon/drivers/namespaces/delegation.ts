/** Cgroups that systemd gives away: below a unit with Delegate= it makes, changes and moves nothing (CGROUP_DELEGATION.md). */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { CallError, withErrno } from '../errors.js'
import { native } from '../native.js'
import type { Cgroup2Mount } from './cgroup2-mounts.js'

/** Beside the contexts: processes that are of none. The name to give to DelegateSubgroup= (systemd 254). */
export const SUBGROUP = 'daemon'

/** Set to "1" by systemd on what it delegates; the first since 238, the second since 251. */
const marks = ['trusted.delegate', 'user.delegate']

export const isDelegated = (path: string): boolean => marks.some((mark) => native.getAttribute(path, mark) === '1')

/**
 * Directory of the daemon's own cgroup, undefined where the mount does not show it.
 * @param cgroup content of /proc/self/cgroup (cgroups(7))
 */
export function ownCgroup(mount: Cgroup2Mount, cgroup = readFileSync('/proc/self/cgroup', 'utf8')): string | undefined {
  const path = /^0::(.*)$/m.exec(cgroup)?.[1]
  if (path === undefined) return undefined
  // Above the root of the cgroup namespace; normalized it would look like a path below.
  if (path.startsWith('/..') && !mount.root.startsWith('/..')) return undefined
  const below = relative(mount.root, path)
  return below.startsWith('..') ? undefined : join(mount.path, below)
}

/** The cgroup that a unit with Delegate=yes has given to this daemon, if one has. */
export function delegatedCgroup(mount: Cgroup2Mount): string | undefined {
  const own = ownCgroup(mount)
  if (own === undefined || own === mount.path) return undefined
  const unit = basename(own) === SUBGROUP ? dirname(own) : own
  return isDelegated(unit) ? unit : undefined
}

/**
 * Moves the processes of a delegated cgroup, this one perhaps among them, into its subgroup: a cgroup that hands
 * controllers on has no processes of its own (cgroup-v2.rst, "No Internal Process Constraint").
 */
export function clearDelegated(path: string): void {
  for (const pid of readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
    try {
      moveInto(join(path, SUBGROUP), pid)
    } catch (error) {
      if (!(error instanceof CallError && error.code === 'ESRCH')) throw error // it has ended meanwhile
    }
}

/** @throws CallError ESRCH, and what else the kernel refuses */
export function moveInto(cgroup: string, pid: number | string): void {
  const path = join(cgroup, 'cgroup.procs')
  withErrno('write', path, () => {
    writeFileSync(path, String(pid))
  })
}

/** What runs in a context, as /proc and its cgroup tell. */
import { readFileSync } from 'node:fs'
import type { Stat } from '../driver.js'
import { CallError, withErrno } from '../errors.js'
import { guestProcesses, type GuestProcess } from '../procfs.js'
import * as rules from '../rules.js'
import { isFrozen } from './cgroups.js'
import type { Context } from './context.js'

/** Of the guest: without what stands in for its init. @throws CallError ESRCH when the context has ended meanwhile */
export async function tasksOf(context: Context, call: string): Promise<GuestProcess[]> {
  await context.starting
  const { reaper } = context
  const processes = (await guestProcesses(context.path)).filter(({ process }) => process.pid !== reaper)
  if (context.gone) throw rules.noSuchContext(context.xid, call)
  return processes
}

/** @param sample of the load averages, the last one that is done */
export function statOf(context: Context, processes: GuestProcess[], forks: number | null, sample: number): Stat {
  const inState = (state: string) => processes.filter(({ process }) => process.state === state).length
  return {
    usecnt: 1 + context.waiters.size,
    tasks: processes.length + (context.persistent ? 1 : 0),
    nr_threads: processes.reduce((sum, { threads }) => sum + threads, 0),
    nr_running: inState('R'),
    nr_unintr: inState('D'),
    nr_onhold: isFrozen(context.path) ? processes.length : 0,
    nr_forks: forks,
    load: context.loadAverage.at(sample),
    offset: context.offset,
    uptime: BigInt(Date.now() - Date.parse(context.createdAt)) * 1_000_000n
  }
}

/** /proc/PID/cgroup. @throws CallError ESRCH */
export function cgroupOf(pid: number): string {
  const path = `/proc/${pid}/cgroup`
  try {
    return withErrno('open', path, () => readFileSync(path, 'utf8'))
  } catch (error) {
    if (!(error instanceof CallError && error.code === 'ENOENT')) throw error
    throw new CallError('ESRCH', 'vx_task_xid', `there is no process ${pid}`)
  }
}

/** Processes of a cgroup, from /proc (proc(5)). */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Process } from '../driver.js'

/** USER_HZ is 100 on every architecture Node runs on; sysconf(3) is not to be had from JavaScript. */
const USER_HZ = 100

/**
 * From /proc/uptime, for btime of /proc/stat has whole seconds only; once, so that a process always starts at the same time.
 */
const bootTimeMs = Date.now() - parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000

export async function pidsOf(cgroup: string): Promise<number[]> {
  const text = await readFile(join(cgroup, 'cgroup.procs'), 'utf8')
  return text.split('\n').flatMap((line) => (line ? [Number(line)] : []))
}

export interface GuestProcess {
  process: Process
  threads: number
}

/** Processes read at a time: each takes two descriptors. */
const BATCH = 32

/** The cgroup's processes that a guest can see: not a launcher that is about to join. */
export async function guestProcesses(cgroup: string): Promise<GuestProcess[]> {
  const pids = await pidsOf(cgroup)
  const found: (GuestProcess | undefined)[] = []
  for (let at = 0; at < pids.length; at += BATCH)
    found.push(...(await Promise.all(pids.slice(at, at + BATCH).map((pid) => readProcess(pid)))))
  return found.filter((process) => process !== undefined)
}

async function readProcess(pid: number): Promise<GuestProcess | undefined> {
  try {
    const [stat, status] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/status`, 'utf8')
    ])
    // NSpid lists the pid in each namespace, ours first: one number is a process of the host's own namespace.
    const nspids = /^NSpid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? []
    if (nspids.length < 2) return undefined
    // comm may hold anything, parentheses and spaces too; the last parenthesis ends it.
    const comm = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return {
      process: {
        pid,
        ppid: Number(fields[1]),
        nspid: Number(nspids[1]), // a guest's own namespaces come after its context's
        comm,
        state: fields[0] ?? '?',
        started_at: new Date(bootTimeMs + (Number(fields[19]) / USER_HZ) * 1000).toISOString()
      },
      threads: Number(fields[17])
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ENOENT', 'ESRCH'].includes(code)) return undefined // it has ended meanwhile
    throw error
  }
}

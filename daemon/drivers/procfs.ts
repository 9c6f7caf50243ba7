/** Processes of a cgroup, from /proc (proc(5)). */
import { readFileSync } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Process } from './driver.js'

/** USER_HZ is 100 on every architecture Node runs on; sysconf(3) is not to be had from JavaScript. */
const USER_HZ = 100

/**
 * From /proc/uptime, for btime of /proc/stat has whole seconds only; once, so that a process always starts at the same time.
 */
const bootTimeMs = Date.now() - parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000

/** Numbers in a file of the cgroup and of those that a guest has made below it, systemd's for instance. */
async function idsOf(cgroup: string, file: 'cgroup.procs' | 'cgroup.threads'): Promise<string[]> {
  const text = await readFile(join(cgroup, file), 'utf8')
  const ids = text.split('\n').filter(Boolean)
  // A directory has a link from itself, one from its parent and one from each directory in it.
  if ((await stat(cgroup)).nlink === 2) return ids
  for (const entry of await readdir(cgroup, { withFileTypes: true }))
    if (entry.isDirectory()) ids.push(...(await idsOf(join(cgroup, entry.name), file).catch(noneWhenGone)))
  return ids
}

export interface GuestProcess {
  process: Process
  threads: number
}

/** Processes read at a time: each takes two descriptors. */
const BATCH = 32

/** The cgroup's processes that a guest can see: not a launcher that is about to join. */
export async function guestProcesses(cgroup: string): Promise<GuestProcess[]> {
  const pids = (await idsOf(cgroup, 'cgroup.procs').catch(noneWhenGone)).map(Number)
  const found: (GuestProcess | undefined)[] = []
  for (let at = 0; at < pids.length; at += BATCH)
    found.push(...(await Promise.all(pids.slice(at, at + BATCH).map((pid) => readProcess(pid)))))
  return found.filter((process) => process !== undefined)
}

/** State letters of the threads in the cgroup; none when it is gone. */
export async function threadStates(cgroup: string): Promise<string[]> {
  const states: string[] = []
  const tids = await idsOf(cgroup, 'cgroup.threads').catch(noneWhenGone)
  for (let at = 0; at < tids.length; at += BATCH)
    states.push(...(await Promise.all(tids.slice(at, at + BATCH).map((tid) => stateOf(tid)))))
  return states
}

async function stateOf(tid: string): Promise<string> {
  try {
    const stat = await readFile(`/proc/${tid}/stat`, 'utf8')
    return stat.charAt(stat.lastIndexOf(')') + 2)
  } catch (error) {
    if (isGone(error)) return 'X'
    throw error
  }
}

const isGone = (error: unknown) => ['ENOENT', 'ESRCH', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')

function noneWhenGone(error: unknown): never[] {
  if (isGone(error)) return []
  throw error
}

/** @param stat the text of /proc/PID/stat */
export function parseStat(stat: string, nspid: number): GuestProcess {
  // comm may hold anything, parentheses and spaces too; the last parenthesis ends it.
  const comm = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    process: {
      pid: parseInt(stat, 10),
      ppid: Number(fields[1]),
      nspid,
      comm,
      state: fields[0] ?? '?',
      started_at: new Date(bootTimeMs + (Number(fields[19]) / USER_HZ) * 1000).toISOString()
    },
    threads: Number(fields[17])
  }
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
    return parseStat(stat, Number(nspids[1])) // a guest's own namespaces come after its context's
  } catch (error) {
    if (isGone(error)) return undefined // it has ended meanwhile
    throw error
  }
}

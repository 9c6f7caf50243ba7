/** What a killed daemon may leave behind on the host. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { TestDaemon } from './daemon.js'
import { childrenOf, isAlive, isIdle, mountsOfHost, statusField } from './proc.js'

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export const allPids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name))
export const commOf = (pid: number | string) => read(`/proc/${pid}/comm`).trim()

/** A process by pid and start time, which no other will ever have. */
export function identityOf(pid: number | string): string | undefined {
  const stat = read(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return stat && fields[0] !== 'Z' ? `${pid} ${fields[19]}` : undefined
}

export const descendantsOf = (pid: number): number[] =>
  childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])

/** What the links in a directory of /proc lead to. */
export function linksIn(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => readlinkSync(join(directory, name)))
  } catch {
    return []
  }
}

/** The process has a descriptor of a file with this text in its path. */
export const holds = (pid: number | string, text: string) =>
  linksIn(`/proc/${pid}/fd`).some((target) => target.includes(text))

/** What a process keeps namespaces other than its own alive by. */
export function heldNamespaces(pid: number): string[] {
  const host = linksIn('/proc/self/ns')
  return linksIn(`/proc/${pid}/fd`).filter(
    (link) => /^[a-z]+:\[\d+\]$/.test(link) && !/^(socket|pipe|anon)/.test(link) && !host.includes(link)
  )
}

/** It has ended, and so has its parent: init clears it away, which some do once in a second or two. */
const isLeftToInit = (pid: number) => !isAlive(pid) && [undefined, '1'].includes(statusField(pid, 'PPid'))

/** Those that are not the daemon, its zygote, or launchers that this keeps ready while none is at work; pid and name. */
export function strangersAmong(pids: string[], daemon: number): string[] {
  const zygotes = childrenOf(daemon)
  const own = [daemon, ...zygotes, ...(isIdle(daemon) ? zygotes.flatMap(childrenOf) : [])]
  return pids
    .map(Number)
    .filter((pid) => !own.includes(pid) && !isLeftToInit(pid))
    .map((pid) => `${pid} ${commOf(pid)}`)
}

/** Processes in, or with a descriptor of, the cgroups of a daemon. */
export function processesOf({ cgroupRoot = '' }: TestDaemon): string[] {
  const root = basename(cgroupRoot)
  return allPids().filter((pid) => read(`/proc/${pid}/cgroup`).includes(root) || holds(pid, root))
}

/** Mounts of the host that have to do with a daemon. */
export const mountsOf = ({ cgroupRoot = '', directory }: TestDaemon): string[] =>
  mountsOfHost().filter((line) => line.includes(basename(cgroupRoot)) || line.includes(directory))

/** What a killed daemon may leave behind on the host. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { childrenOf, isIdle } from './proc.js'

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

/** What a process keeps namespaces other than its own alive by. */
export function heldNamespaces(pid: number): string[] {
  const host = linksIn('/proc/self/ns')
  return linksIn(`/proc/${pid}/fd`).filter(
    (link) => /^[a-z]+:\[\d+\]$/.test(link) && !/^(socket|pipe|anon)/.test(link) && !host.includes(link)
  )
}

/** A daemon, its zygote, and the launchers that this keeps ready: none of them while others are at work. */
export const ownProcessesOf = (daemon: number): number[] => [
  daemon,
  ...childrenOf(daemon).flatMap((zygote) => [zygote, ...(isIdle(zygote) ? childrenOf(zygote) : [])])
]

/** Processes in, or with a descriptor of, the cgroups of a daemon. */
export const processesOf = (root: string) =>
  allPids().filter(
    (pid) =>
      read(`/proc/${pid}/cgroup`).includes(root) || linksIn(`/proc/${pid}/fd`).some((target) => target.includes(root))
  )

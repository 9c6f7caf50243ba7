/** The host's own view, from /proc: what a test compares the daemon's answers with. */
import { readdirSync, readFileSync } from 'node:fs'

/** The options of a test that needs real namespaces. */
export const needsRoot = () => ({ skip: process.getuid?.() === 0 ? false : 'needs root' })

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // it has ended meanwhile
  }
}

const pids = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** A line of /proc/PID/status, such as NSpid; undefined when the process is gone. */
export function statusField(pid: number | 'self', name: string): string | undefined {
  return lineOf(read(`/proc/${pid}/status`) ?? '', name)
}

/** The value of a "Name:\tvalue" line. */
export function lineOf(status: string, name: string): string | undefined {
  return new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]
}

/** Neither gone nor a zombie. */
export function isAlive(pid: number): boolean {
  const state = statusField(pid, 'State')
  return state !== undefined && !/^[ZX]/.test(state)
}

/** Pids of the children of a process, zombies too. */
export function childrenOf(parent: number): number[] {
  return pids().filter((pid) => statusField(pid, 'PPid') === String(parent))
}

/** The launchers that a daemon keeps ready for their order, one of each kind. */
const READY_LAUNCHERS = 2

/** No child of the daemon works for a context any more, and none is a zombie. */
export function isIdle(daemon: number): boolean {
  const children = childrenOf(daemon)
  return children.length <= READY_LAUNCHERS && children.every(isAlive)
}

/** Pids whose cgroup has this text in its path. */
export function pidsInCgroup(text: string): number[] {
  return pids().filter((pid) => read(`/proc/${pid}/cgroup`)?.includes(text))
}

export function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).sort((a, b) => Number(a) - Number(b))
}

/** Without those that a test makes on purpose, while others run beside it: their source is `contextd-test`. */
export const mountsOfHost = () =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => !line.includes(' contextd-test '))

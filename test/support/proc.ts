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

/** The launchers that a zygote keeps ready for their order at most, one of each kind that its driver uses. */
const READY_LAUNCHERS = 2

/**
 * The daemon's zygote has no launchers but those that it keeps ready and those of processes that are to go on; none is
 * a zombie.
 * @param running how many processes started through the daemon are to go on: each has a launcher as its shim
 */
export function isIdle(daemon: number, running = 0): boolean {
  const zygotes = childrenOf(daemon)
  const launchers = zygotes.flatMap(childrenOf)
  return launchers.length <= zygotes.length * READY_LAUNCHERS + running && [...zygotes, ...launchers].every(isAlive)
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

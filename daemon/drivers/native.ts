/** The addon, typed; its errors become CallErrors here, in one place. */
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { nativeFolder } from '../package.js'
import { CallError } from './errors.js'

export interface PeerCredentials {
  pid: number
  uid: number
  gid: number
}

export interface Zygote {
  pid: number
  socket: number
}

export interface LauncherFiles {
  program: number
  null: number
}

/** Descriptors of what counts forks: native/namespaces/forks.h. */
export interface ForkCounterFiles {
  link: number
  slots: number
  counters: number
}

/** Of a frame that a launcher sends: Frame of native/launcher/protocol/report.h. */
export type FrameType = 'S' | 'E' | 'X' | 'A' | 'N' | 'B' | 'O' | 'R'

/** A wait_exit under way in a thread of its own. */
export type WaitHandle = object & { readonly __wait?: never }

/** vserver(2), command by command: native/vserver/commands.h. */
interface Vserver {
  taskXid(pid: number): number
  /** The pid of init, 0 for none. */
  vxInfo(xid: number): number
  ctxStat(xid: number): { usecnt: number; tasks: number }
  /** ctxStat's tasks alone. */
  tasks(xid: number): number
  /**
   * Into `words`: offset and uptime in nanoseconds, threads, those that run, in uninterruptible sleep and on hold, forks,
   * and three load averages in 1/2048.
   * @param words at least 10
   */
  virtStat(xid: number, words: BigUint64Array): void
  /** virtStat's uptime alone, nanoseconds. */
  uptime(xid: number): bigint
  setBcaps(xid: number, word: bigint, mask: bigint): void
  getBcaps(xid: number): bigint
  setCcaps(xid: number, word: bigint, mask: bigint): void
  getCcaps(xid: number): bigint
  setCflags(xid: number, word: bigint, mask: bigint): void
  /** Flags and mask into `words`. @param words at least 2 */
  getCflags(xid: number, words: BigUint64Array): void
  setVhiName(xid: number, field: number, value: string): void
  getVhiName(xid: number, field: number): string
  ctxKill(xid: number, pid: number, signal: number): void
  /** The callback is called once, with ECANCELED after cancelWait. */
  startWait(xid: number, done: (error: Error | null, rebootCmd: number, exitCode: number) => void): WaitHandle
  /** No death escapes it from now on. */
  isWaiting(wait: WaitHandle): boolean
  /** One that comes just before the call is lost, so it is to be repeated until the callback was called. */
  cancelWait(wait: WaitHandle): void
  getVersion(): number
  getVci(): number
  getSpaceMask(): bigint
  /** System call number on this machine, -1 for none. */
  readonly callNumber: number
  /** The same on another machine: native/vserver/abi.h. */
  numberOn(machine: string): number
}

interface Addon {
  prepareLauncher(path: string): LauncherFiles
  /** `forks` and `forksMap` go on to every launcher; -1: nothing counts forks. */
  startZygote(program: number, devNull: number, forks: number, forksMap: number): Zygote
  /** By the first letter of its kind (Kind of native/launcher/protocol/spec.h). No order that it is given may ask for more than `bcaps`. */
  forkLauncher(zygote: number, kind: string, bcaps: bigint): number
  sendOrder(socket: number, order: Buffer, cgroup: number, pid1: number, log: number): void
  /**
   * Once, before the first line is opened. The listener is called with each frame: with text, or for 'O' and 'R' with
   * bytes; and without a type when the launcher has closed its end.
   */
  listenToLines(listener: (fd: number, type?: FrameType, payload?: string | Buffer) => void): void
  /** Hears of what comes by a launcher's socket, which is the line's from now on. */
  openLine(fd: number): void
  closeLine(fd: number): void
  /** Nothing of it is heard until it is resumed: what its launcher has to say stays there. */
  pauseLine(fd: number): void
  /** The listener may be called before this returns. */
  resumeLine(fd: number): void
  /** The daemon's end of a new socket to a shim that an earlier daemon started. */
  connectShim(pid: number, startTime: number, protocol: number): number
  /** Whether a launcher of any daemon works for this cgroup. */
  hasLauncher(cgroup: string): boolean
  reap(pid: number): boolean
  openForkCounter(contexts: string, level: number): ForkCounterFiles
  /** The cgroup's id. */
  countForks(slots: number, counters: number, cgroup: string, slot: number, base: number): bigint
  /** The cgroup's id when its forks are counted. */
  findForks(slots: number, counters: number, cgroup: string): bigint | undefined
  readForks(slots: number, counters: number, slot: number): number
  forgetForks(slots: number, counters: number, key: bigint): void
  listForks(slots: number, counters: number): bigint[]
  openMember(cgroup: string, line: string, pid: number): number
  signalMember(cgroup: string, line: string, pid: number, signal: number, init: number): number
  signalMembers(cgroup: string, line: string, signal: number, init: number, except: number): Promise<number>
  /** Microseconds of each cgroup, -1 where the kernel does not say (cpu.stat). */
  cpuUsage(cgroups: string[]): Promise<number[]>
  getUtsNames(pidfd: number): { nodename: string; domainname: string }
  setNodename(pidfd: number, value: string): void
  setDomainname(pidfd: number, value: string): void
  peerCredentials(socket: number): PeerCredentials
  /** Supplementary groups; ENOPROTOOPT before Linux 4.13. */
  peerGroups(socket: number): number[]
  peerIsAlive(socket: number): boolean
  hasHungUp(socket: number): boolean
  tryLock(fd: number): boolean
  /** One datagram to $NOTIFY_SOCKET; EAGAIN when it would have to wait. */
  notify(address: string, state: string): void
  /** The address of a Unix stream socket that listens, undefined for anything else. No child gets it any more. */
  adoptListener(fd: number): string | undefined
  /** False: the file system cannot reserve. Bytes. */
  reserve(fd: number, offset: number, length: number): boolean
  /** Bytes of a file, -1 when it was removed. */
  sizeUnlessRemoved(fd: number): number
  checkRoot(path: string): void
  setAttribute(path: string, name: string, value: string): void
  getAttribute(path: string, name: string): string | undefined
  /** All whose names begin with `prefix`, by what follows it. */
  getAttributes(path: string, prefix: string): Record<string, string>
}

/** Second names of a number, which the manual pages do not lead with. */
const aliases = ['EWOULDBLOCK', 'ENOTSUP']
const errnoNames = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !aliases.includes(name))
    .map(([name, number]) => [number, name])
)

/** The name of a positive errno, such as ESRCH for 3. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`
}

interface AddonError extends Error {
  errno?: number
  syscall?: string
}

/** @param args of the call, whose strings tell what it was about */
export function asCallError(error: Error, args: unknown[]): Error {
  const { errno, syscall } = error as AddonError
  if (errno === undefined || syscall === undefined) return error
  return new CallError(errnoName(errno), syscall, args.filter((arg) => typeof arg === 'string').join(' '))
}

function rethrown<F extends (...args: never[]) => unknown>(call: F): F {
  return ((...args: Parameters<F>) => {
    try {
      const result = call(...args)
      if (!(result instanceof Promise)) return result
      return result.catch((error: unknown) => {
        throw asCallError(error as Error, args)
      })
    } catch (error) {
      throw asCallError(error as Error, args)
    }
  }) as F
}

/** The launcher's path on disk. */
export const launcherPath = fileURLToPath(new URL('contextd-launcher', nativeFolder))

const addon = createRequire(import.meta.url)(fileURLToPath(new URL('contextd.node', nativeFolder))) as Addon & {
  vserver: Vserver
  protocol: number
}

export const native = Object.fromEntries(
  Object.entries(addon)
    .filter(([, call]) => typeof call === 'function')
    .map(([name, call]) => [name, rethrown(call as () => unknown)])
) as unknown as Addon

/** As the addon has them, for hot reads: their errors are for asCallError. `protocol` is native/launcher/protocol/spec.h's. */
export const { vserver, protocol } = addon

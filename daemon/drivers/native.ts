/** The addon, typed; its errors become CallErrors here, in one place. */
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
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

interface Addon {
  prepareLauncher(path: string): LauncherFiles
  startZygote(program: number, devNull: number): Zygote
  forkLauncher(zygote: number, kind: string): number
  sendOrder(socket: number, order: Buffer, cgroup: number, pid1: number): void
  reap(pid: number): boolean
  openMember(procs: string, line: string, pid: number): number
  signalMember(procs: string, line: string, pid: number, signal: number, init: number): number
  signalMembers(procs: string, line: string, signal: number, init: number, except: number): Promise<number>
  getUtsNames(pidfd: number): { nodename: string; domainname: string }
  setNodename(pidfd: number, value: string): void
  setDomainname(pidfd: number, value: string): void
  peerCredentials(socket: number): PeerCredentials
  peerIsAlive(socket: number): boolean
  tryLock(fd: number): boolean
  checkRoot(path: string): void
  setAttribute(path: string, name: string, value: string): void
  getAttribute(path: string, name: string): string | undefined
}

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** The name of a positive errno, such as ESRCH for 3. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E${errno}`
}

interface AddonError extends Error {
  errno?: number
  syscall?: string
}

function asCallError(error: unknown, args: unknown[]): unknown {
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
        throw asCallError(error, args)
      })
    } catch (error) {
      throw asCallError(error, args)
    }
  }) as F
}

const folder = new URL('../../native/', import.meta.url)

/** The launcher's path on disk. */
export const launcherPath = fileURLToPath(new URL('contextd-launcher', folder))

const addon = createRequire(import.meta.url)(fileURLToPath(new URL('contextd.node', folder))) as Addon

export const native = Object.fromEntries(
  Object.entries(addon as unknown as Record<string, () => unknown>).map(([name, call]) => [name, rethrown(call)])
) as unknown as Addon

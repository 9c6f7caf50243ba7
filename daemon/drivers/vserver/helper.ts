/**
 * kernel.vshelper: the program that the kernel runs for reboot(2) in a guest and, with SC_HELPER, for its start and its
 * end. It leaves one small file a call, which the daemon takes when it sees it. The helper never waits for the daemon,
 * which may be in the very system call that waits for the helper.
 */
import { accessSync, constants, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HelperCall } from '../driver.js'
import { withErrno } from '../errors.js'
import { watchPath } from '../watch.js'

/** What the kernel calls it with (kernel/vserver/helper.c). */
export const helperActions = [
  'restart',
  'halt',
  'poweroff',
  'swsusp',
  'oom',
  'startup',
  'shutdown',
  'netup',
  'netdown'
] as const

/** Between looks at what cannot be watched. */
const POLL_MS = 1000

const directoryOf = (stateDir: string) => join(stateDir, 'helper')

/** One file for each context and action: a guest that calls again and again fills no disk. */
const fileOf = ({ xid, action }: HelperCall) => `${xid}-${action}.json`

/** @throws CallError naming what cannot be written */
export function recordCall(stateDir: string, call: HelperCall): void {
  const directory = directoryOf(stateDir)
  const path = join(directory, fileOf(call))
  withErrno('write', path, () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(call), { mode: 0o600 })
    renameSync(`${path}.${process.pid}`, path)
  })
}

/** Hands every recorded call to `heard`, those from before first. Returns what ends it. */
export function followCalls(stateDir: string, heard: (call: HelperCall) => void): () => void {
  const directory = directoryOf(stateDir)
  withErrno('mkdir', directory, () => mkdirSync(directory, { recursive: true, mode: 0o700 }))
  const take = () => {
    for (const name of readdirSync(directory).filter((file) => file.endsWith('.json'))) {
      const path = join(directory, name)
      try {
        const call = JSON.parse(readFileSync(path, 'utf8')) as HelperCall
        rmSync(path)
        heard(call)
      } catch {
        rmSync(path, { force: true }) // no record of ours
      }
    }
  }
  const stop = watchPath(directory, POLL_MS, take)
  take()
  return stop
}

/** Why reboot(2) in a guest fails, or nothing. */
export function helperWarning(sysctl = '/proc/sys/kernel/vshelper'): string | undefined {
  let path
  try {
    path = readFileSync(sysctl, 'utf8').trim()
    accessSync(path, constants.X_OK)
    return undefined
  } catch {
    const program = path === undefined ? 'cannot be read' : `is ${path || 'empty'}, which cannot be executed`
    return `reboot(2) in guests fails: kernel.vshelper ${program}; point it at a program that runs 'contextd vshelper' (README)`
  }
}

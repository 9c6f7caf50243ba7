/**
 * kernel.vshelper: the program that the kernel runs for reboot(2) in a guest and, with SC_HELPER, for its start and its
 * end. It leaves one small file a call, which the daemon takes when it sees it. The helper never waits for the daemon,
 * nor the kernel for the helper, but for its start, and with SC_HELPER.
 */
import { accessSync, constants, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HelperCall } from '../driver.js'
import { rebootWord } from '../../vocabulary/reboot.js'
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
/** How long the end of a context that was rebooted waits to be told of until the helper has said so. */
const LATE_MS = 5000

/** Actions of reboot(2) by its command word. */
const actionOfReboot = new Map<number, string>(
  (
    [
      ['RESTART', 'restart'],
      ['HALT', 'halt'],
      ['POWER_OFF', 'poweroff'],
      ['SW_SUSPEND', 'swsusp']
    ] as const
  ).map(([name, action]) => [rebootWord(name), action])
)

const directoryOf = (stateDir: string) => join(stateDir, 'helper')

/** One file for each context and action: a guest that calls again and again fills no disk. */
const fileOf = ({ xid, action }: Pick<HelperCall, 'xid' | 'action'>) => `${xid}-${action}.json`

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

/** Why nothing is run for a guest, or nothing. */
export function helperProblem(sysctl = '/proc/sys/kernel/vshelper'): string | undefined {
  let path
  try {
    path = readFileSync(sysctl, 'utf8').trim()
    accessSync(path, constants.X_OK)
    return undefined
  } catch {
    const program = path === undefined ? 'cannot be read' : `is ${path || 'empty'}, which cannot be executed`
    return `kernel.vshelper ${program}; point it at a program that runs 'contextd vshelper' (README)`
  }
}

/** Hands on what the helper has left, those from before first, in the order that events of a context have. */
export class HelperCalls {
  readonly #directory: string
  #listener: ((call: HelperCall) => void) | undefined
  #stop: (() => void) | undefined
  /** Kept back while their contexts are being made. */
  readonly #kept = new Map<number, HelperCall[]>()
  /** What each context is known to have had the helper run for. */
  readonly #heard = new Map<number, Set<string>>()
  /** Those who wait for a call, by its file. */
  readonly #awaited = new Map<string, () => void>()
  /** False after one that was waited for in vain: kernel.vshelper may be somebody else's. */
  #isAnswering = true

  constructor(stateDir: string) {
    this.#directory = directoryOf(stateDir)
  }

  /** @throws CallError naming the directory that cannot be made */
  listen(listener: ((call: HelperCall) => void) | undefined): void {
    this.close()
    this.#listener = listener
    if (!listener) return
    withErrno('mkdir', this.#directory, () => mkdirSync(this.#directory, { recursive: true, mode: 0o700 }))
    this.#stop = watchPath(this.#directory, POLL_MS, () => {
      this.#take()
    })
    this.#take()
  }

  /** Makes a context by `make`. Only when whoever asked for it knows of it is a call for it handed on (`startup`). */
  async whileMade(xid: number, make: () => Promise<void>): Promise<void> {
    this.#heard.delete(xid)
    this.#kept.set(xid, [])
    try {
      await make()
    } finally {
      setImmediate(() => {
        const kept = this.#kept.get(xid) ?? []
        this.#kept.delete(xid)
        for (const call of kept) this.#hand(call)
      })
    }
  }

  /**
   * Before the end of a context is told of: resolves when the call for its reboot(2) was handed on, or does not come. The
   * kernel waits until the program was started, and kills the guest then (kernel/vserver/helper.c).
   * @param rebootCmd of the end
   */
  beforeEnd(xid: number, rebootCmd: number): Promise<void> | undefined {
    if (!this.#stop) return undefined
    this.#take()
    const action = actionOfReboot.get(rebootCmd >>> 0)
    const isMissing = action !== undefined && !this.#heard.get(xid)?.has(action)
    this.#heard.delete(xid)
    if (!isMissing || !this.#isAnswering || helperProblem() !== undefined) return undefined
    const key = fileOf({ xid, action })
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#awaited.delete(key)
        this.#heard.delete(xid)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#isAnswering = false
        end()
      }, LATE_MS)
      this.#awaited.set(key, end)
    })
  }

  close(): void {
    this.#stop?.()
    this.#stop = undefined
    for (const end of this.#awaited.values()) end()
  }

  #take(): void {
    const calls = readdirSync(this.#directory)
      .filter((file) => file.endsWith('.json'))
      .flatMap((name) => takeCall(join(this.#directory, name)) ?? [])
      .sort((a, b) => Date.parse(a.time) - Date.parse(b.time))
    for (const call of calls) {
      const kept = this.#kept.get(call.xid)
      if (kept) kept.push(call)
      else this.#hand(call)
    }
  }

  #hand(call: HelperCall): void {
    this.#isAnswering = true
    const heard = this.#heard.get(call.xid)
    if (heard) heard.add(call.action)
    else this.#heard.set(call.xid, new Set([call.action]))
    this.#listener?.(call)
    this.#awaited.get(fileOf(call))?.()
  }
}

/** Undefined for a file that is no record of ours; either way it is gone. */
function takeCall(path: string): HelperCall | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as HelperCall
  } catch {
    return undefined
  } finally {
    rmSync(path, { force: true })
  }
}

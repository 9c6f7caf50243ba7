/** Limits by the controllers of cgroup v2. The values are kept in an attribute; a file has one while the flag is set. */
import { writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { limits, type LimitName, type Limits } from '../../vocabulary/limits.js'
import { CallError, withErrno } from '../errors.js'
import type { Controller, MissingControllers } from './controllers.js'

interface LimitFile {
  controller: Controller
  file: string
  /** What it says without a limit. */
  none: string
  format: (value: number) => string
}

/** Microseconds; what the kernel takes by default. */
const CPU_PERIOD = 100_000

const files: Record<LimitName, LimitFile> = {
  cpu_max: {
    controller: 'cpu',
    file: 'cpu.max',
    none: `max ${CPU_PERIOD}`,
    format: (percent) => `${(percent * CPU_PERIOD) / 100} ${CPU_PERIOD}`
  },
  cpu_weight: { controller: 'cpu', file: 'cpu.weight', none: '100', format: String },
  pids_max: { controller: 'pids', file: 'pids.max', none: 'max', format: String },
  memory_high: { controller: 'memory', file: 'memory.high', none: 'max', format: String },
  memory_max: { controller: 'memory', file: 'memory.max', none: 'max', format: String }
}

/** What the host can limit, and what a context is limited to that has no limit of its own. */
export interface Limiting {
  readonly missing: MissingControllers
  /** Processes and threads; 0: no limit. One context without any stops the whole host (kernel.threads-max, kernel.pid_max). */
  readonly defaultPidsMax: number
}

export interface Limited {
  flags: bigint
  limits: Limits
}

/** Bits of the flags that turn limits on. */
export const LIMIT_FLAGS = limits.reduce((bits, { bit }) => bits | bit, 0n)

function textOf(
  name: LimitName,
  bit: bigint,
  { flags, limits: values }: Limited,
  { defaultPidsMax }: Limiting
): string {
  const value = values[name]
  if (value !== null && (flags & bit) !== 0n) return files[name].format(value)
  return name === 'pids_max' && defaultPidsMax > 0 ? String(defaultPidsMax) : files[name].none
}

/** Of a new cgroup, which has no limits yet. @throws CallError with the file that the kernel refuses */
export function applyDefaults(path: string, { missing, defaultPidsMax }: Limiting): void {
  const { controller, file } = files.pids_max
  if (defaultPidsMax === 0 || missing.has(controller)) return
  withErrno('write', join(path, file), () => {
    writeFileSync(join(path, file), String(defaultPidsMax))
  })
}

/**
 * Has the cgroup's files say what they shall after a change; all of them when it is not known what they say.
 * Not on the event loop: a lower memory.high is reclaimed before the write returns.
 * @throws CallError with the file that the kernel refuses
 */
export async function applyLimits(
  path: string,
  wanted: Limited,
  before: Limited | undefined,
  host: Limiting
): Promise<void> {
  for (const { name, bit } of limits) {
    const { controller, file } = files[name]
    const text = textOf(name, bit, wanted, host)
    if (host.missing.has(controller) || (before && text === textOf(name, bit, before, host))) continue
    try {
      await writeFile(join(path, file), text)
    } catch (error) {
      throw new CallError((error as NodeJS.ErrnoException).code ?? 'EIO', 'write', join(path, file))
    }
  }
}

/** Why names of the vocabulary are missing with these controllers, by "kind.name". */
export function missingLimits(missing: MissingControllers): [string, string][] {
  return limits.flatMap(({ name, flag }) => {
    const reason = missing.get(files[name].controller)
    return reason === undefined
      ? []
      : [
          [`limits.${name}`, reason],
          [`flags.${flag}`, reason]
        ]
  })
}

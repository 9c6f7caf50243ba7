/** Files of /proc as a guest's own, by lxcfs, which computes them from the cgroup of the reader's PID 1. */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { flags } from '../../vocabulary/flags.js'
import type { Controller, MissingControllers } from './controllers.js'

/** Where it is mounted; native/launcher/mounts/mounts.cc has it too. */
const MOUNT = '/var/lib/lxcfs'
/** One that does not answer in this time is dead. */
const ANSWER_TIMEOUT_MS = 1000

interface Virtual {
  flag: string
  files: readonly string[]
  /** What lxcfs looks at. */
  controller: Controller
  /** Without it the files say what the host's say. */
  option?: { name: string; isIn: (argument: string) => boolean }
}

const table: readonly Virtual[] = [
  { flag: 'VIRT_MEM', files: ['meminfo', 'swaps'], controller: 'memory' },
  {
    flag: 'VIRT_CPU',
    files: ['cpuinfo', 'stat'],
    controller: 'cpu',
    option: { name: '--enable-cfs', isIn: (argument) => argument === '--enable-cfs' }
  },
  {
    flag: 'VIRT_LOAD',
    files: ['loadavg'],
    controller: 'cpu',
    option: { name: '--enable-loadavg', isIn: (argument) => argument === '--enable-loadavg' || /^-\w*l/.test(argument) }
  }
]

/** Files for the flags of a new context, of those that `isThere`. */
export function lxcfsFiles(word: bigint, isThere: (flag: string) => boolean): string[] {
  return table.flatMap(({ flag, files }) => (word & flags.bit(flag) && isThere(flag) ? files : []))
}

/** Why flags are missing on this host, by "flags.NAME". */
export async function missingVirtual(missing: MissingControllers): Promise<[string, string][]> {
  const nothing = await whyNone()
  return table.flatMap(({ flag, controller, option }) => {
    const reason = nothing ?? missing.get(controller) ?? (option && whyNotBy(option))
    return reason === undefined ? [] : [[`flags.${flag}`, reason]]
  })
}

async function whyNone(): Promise<string | undefined> {
  // Not by a look at the place itself, which a hanging one would answer never.
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  if (!mounts.split('\n').some((line) => line.includes(` ${MOUNT} `) && line.includes(' - fuse.lxcfs ')))
    return `lxcfs is not mounted on ${MOUNT}`
  const answers = readFile(join(MOUNT, 'proc/meminfo')).then(
    () => undefined,
    (error: unknown) => (error as NodeJS.ErrnoException).code
  )
  const failed = await Promise.race([answers, sleep(ANSWER_TIMEOUT_MS, 'no answer', { ref: false })])
  return failed === undefined ? undefined : `lxcfs on ${MOUNT} is dead: ${failed}`
}

function whyNotBy({ name, isIn }: NonNullable<Virtual['option']>): string | undefined {
  const isGiven = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(commandOf)
    .some(([program, ...args]) => program?.endsWith('lxcfs') && args.some(isIn))
  return isGiven ? undefined : `lxcfs runs without ${name}`
}

function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has ended
  }
}

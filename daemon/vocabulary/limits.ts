import { flags } from './flags.js'

/**
 * Limits of a context, in the units of the cgroup files they are named after. As on a Linux-VServer kernel a flag turns
 * them on, and their values are set elsewhere; libvserver's own calls for that are not among the 15.
 */
const rows = [
  {
    name: 'cpu_max',
    flag: 'SCHED_HARD',
    minimum: 1,
    maximum: 1_000_000,
    meaning: 'CPU time at most, percent of one CPU, in each 100 ms'
  },
  {
    name: 'cpu_weight',
    flag: 'SCHED_PRIO',
    minimum: 1,
    maximum: 10_000,
    meaning: 'Share of CPU time where contexts compete; 100 without'
  },
  { name: 'pids_max', flag: 'INFO_NPROC', minimum: 1, maximum: 4_194_304, meaning: 'Processes and threads at most' },
  {
    name: 'memory_high',
    flag: 'FORK_RSS',
    minimum: 4096,
    maximum: Number.MAX_SAFE_INTEGER,
    meaning: 'Bytes of memory above which processes are slowed down and their memory is reclaimed'
  },
  {
    name: 'memory_max',
    flag: 'FORK_RSS',
    minimum: 4096,
    maximum: Number.MAX_SAFE_INTEGER,
    meaning: 'Bytes of memory above which a process is killed'
  }
] as const

export type LimitName = (typeof rows)[number]['name']
/** null: none. */
export type Limits = Readonly<Record<LimitName, number | null>>

export const limits = rows.map((row) => ({ ...row, bit: flags.bit(row.flag) }))
export const limitNames: readonly LimitName[] = rows.map(({ name }) => name)
export const noLimits: Limits = Object.freeze(
  Object.fromEntries(limitNames.map((name) => [name, null])) as Record<LimitName, null>
)

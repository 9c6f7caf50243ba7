import type { Driver } from '../drivers/driver.js'
import type { VocabularyEntry } from '../schemas/host.js'
import { bcapsFor } from '../vocabulary/bcaps.js'
import { ccaps } from '../vocabulary/ccaps.js'
import { flags } from '../vocabulary/flags.js'
import { limits } from '../vocabulary/limits.js'
import { migrate } from '../vocabulary/migrate.js'
import { signals } from '../vocabulary/signals.js'
import type { VocabularyKind } from '../vocabulary/treatment.js'
import { unameFields } from '../vocabulary/uname.js'
import { formatWord, type WordTable } from '../vocabulary/word.js'

const stat: Record<string, string> = {
  usecnt: 'Uses of the context',
  tasks: 'Tasks of the context',
  nr_threads: 'Threads',
  nr_running: 'Runnable tasks',
  nr_unintr: 'Tasks in uninterruptible sleep',
  nr_onhold: 'Tasks on hold',
  nr_forks: 'Forks since the start',
  load: 'Load averages over 1, 5 and 15 minutes',
  offset: 'Offset of the uptime',
  uptime: 'Time since creation'
}

const process: Record<string, string> = {
  capture: 'Wait for the end and return the output',
  stdin: 'Input of a captured process',
  timeout: 'SIGKILL after so many seconds',
  user: "User, group and supplementary groups, by the guest's passwd and group",
  umask: 'Mask of the modes of new files',
  rlimits: 'Limits of setrlimit(2)',
  cwd: 'Working directory inside the guest',
  env: 'Environment',
  root: "Directory that becomes the guest's /"
}

const limitMeanings = Object.fromEntries(
  limits.map(({ name, meaning, flag }) => [name, `${meaning}; acts while ${flag} is set`])
)

/** What GET /vocabulary answers: the tables, each name with this driver's treatment. */
export function vocabularyOf(driver: Driver) {
  const treated = (kind: VocabularyKind, name: string): Pick<VocabularyEntry, 'treatment' | 'reason'> => {
    const treatment = driver.treatment(kind, name)
    const reason = treatment === 'unsupported' ? driver.missing?.(kind, name) : undefined
    return { treatment, ...(reason !== undefined && { reason }) }
  }
  const words = (kind: VocabularyKind, table: WordTable): VocabularyEntry[] =>
    table.rows.map(({ name, bit, meaning, source }) => ({
      name,
      constant: table.prefix + name,
      bit,
      value: formatWord(1n << BigInt(bit)),
      meaning,
      source,
      ...treated(kind, name)
    }))
  const plain = (kind: VocabularyKind, names: Record<string, string>, source: string): VocabularyEntry[] =>
    Object.entries(names).map(([name, meaning]) => ({
      name,
      constant: name,
      bit: null,
      value: null,
      meaning,
      source,
      ...treated(kind, name)
    }))
  return {
    flags: words('flags', flags),
    ccaps: words('ccaps', ccaps),
    bcaps: words('bcaps', bcapsFor(driver.bcapsAbi)),
    migrate: words('migrate', migrate),
    uname: unameFields.map(({ name, constant, id, meaning, source }) => ({
      name,
      constant,
      bit: id,
      value: null,
      meaning,
      source,
      treatment: driver.treatment('uname', name)
    })),
    stat: plain('stat', stat, 'libvserver vx_stat_t'),
    process: plain('process', process, 'contextd'),
    limits: plain('limits', limitMeanings, 'cgroup v2'),
    signals: Object.fromEntries(signals.map(({ name, number }) => [name, number]))
  }
}

import type { BcapsAbi } from '../../vocabulary/bcaps.js'
import { ccaps } from '../../vocabulary/ccaps.js'
import { flags } from '../../vocabulary/flags.js'
import type { Treatment } from '../../vocabulary/treatment.js'
import type { WordTable } from '../../vocabulary/word.js'
import type { TreatmentTable } from '../treatments.js'

/** What the kernel keeps without acting on it, of the names that an ABI has. */
interface Idle {
  flags: readonly string[]
  ccaps: readonly string[]
  /** Names that came after it. */
  unknown: readonly string[]
}

const legacyFlags = ['INFO_SCHED', 'INFO_NPROC', 'INFO_ULIMIT', 'INFO_NSPACE']
const laterCcaps = ccaps.rows.filter(({ source }) => source.includes('2.3')).map(({ name }) => name)

const idle: Record<Exclude<BcapsAbi, 'linux'>, Idle> = {
  // The header marks the legacy ones (L): without the legacy interface nothing reads them.
  seed: { flags: legacyFlags, ccaps: [], unknown: laterCcaps },
  'vs2.3': {
    flags: [
      ...legacyFlags,
      'INFO_HIDE',
      'SCHED_HARD',
      'SCHED_PRIO',
      'SCHED_PAUSE',
      'HIDE_NETIF',
      'FORK_RSS',
      'PROLIFIC'
    ],
    ccaps: ['RAW_ICMP', 'SECURE_REMOUNT'],
    unknown: []
  }
}

function treat(table: WordTable, recorded: readonly string[], unknown: readonly string[]): Record<string, Treatment> {
  return Object.fromEntries(
    table.rows.map(({ name }) => [
      name,
      unknown.includes(name) ? 'unsupported' : recorded.includes(name) ? 'recorded' : 'enforced'
    ])
  )
}

/** What a Linux-VServer kernel does with each name: a bit that it does not act on is stored all the same. */
export function treatmentsOf(abi: Exclude<BcapsAbi, 'linux'>): TreatmentTable {
  const { flags: recordedFlags, ccaps: recordedCcaps, unknown } = idle[abi]
  return {
    flags: { '*': 'recorded', ...treat(flags, recordedFlags, unknown) },
    ccaps: { '*': 'recorded', ...treat(ccaps, recordedCcaps, unknown) },
    bcaps: { '*': 'enforced' },
    migrate: { '*': 'enforced' },
    uname: { '*': 'enforced' },
    stat: { '*': 'enforced' },
    process: { '*': 'enforced' },
    // Set by commands of the kernel that libvserver's context API has not.
    limits: { '*': 'unsupported' }
  }
}

import { CallError } from '../errors.js'
import type { CgroupHome } from './cgroups.js'
import type { ForkCounter } from './forks.js'
import { missingLimits } from './limits.js'
import { missingSpaces } from './spaces.js'

/** What this host lacks and why, by "kind.name" of the vocabulary. */
export const missingHere = (
  home: CgroupHome,
  forks: ForkCounter | CallError,
  missingLxcfs: readonly [string, string][]
): ReadonlyMap<string, string> =>
  new Map([
    ...[...missingSpaces].map(([flag, why]) => [`flags.${flag}`, why] as const),
    ...missingLimits(home.missing),
    ...missingLxcfs,
    ...(forks instanceof CallError ? [['stat.nr_forks', `bpf(2) is refused: ${forks.code}`] as const] : [])
  ])

import type { ProcessSpec, ProcessUser, ResourceLimit } from '../drivers/driver.js'
import type { Command } from '../schemas/process.js'
import { invalid } from '../refusal.js'
import { SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import { UNLIMITED, type RlimitName } from '../vocabulary/rlimits.js'
import type { Writes } from './audited.js'

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const ID_MAX = 2 ** 32 - 2

/** Nothing of the daemon's environment reaches a guest. */
export function processSpec({ argv, env, cwd, user, umask, rlimits }: Command): ProcessSpec {
  const home = user === undefined ? { HOME: '/root' } : {} // else it is for the guest to say
  return {
    argv,
    env: { PATH: DEFAULT_PATH, ...home, TERM: 'linux', ...env },
    cwd: cwd ?? '/',
    ...(user !== undefined && { user: processUser(user) }),
    ...(umask !== undefined && { umask: parseInt(umask, 8) }),
    ...(rlimits && { rlimits: resourceLimits(rlimits) })
  }
}

/** @param startDelayMs for which the start may stay untold (MigrateData) */
export async function startInit(xid: number, init: Command, writes: Writes, startDelayMs?: number): Promise<void> {
  await writes.vx_migrate(xid, { flags: SET_INIT | SET_REAPER, process: processSpec(init), startDelayMs })
}

function processUser(user: NonNullable<Command['user']>): ProcessUser {
  if (typeof user === 'number') return { uid: user }
  if (typeof user !== 'string') return user
  const [who = '', group] = user.split(':')
  return {
    ...(isId(who) ? { uid: idOf(who) } : { name: who }),
    ...(group !== undefined && (isId(group) ? { gid: idOf(group) } : { group }))
  }
}

const isId = (text: string) => /^\d+$/.test(text)

function idOf(text: string): number {
  const id = Number(text)
  if (id > ID_MAX) throw invalid('user', `${text} is no id: the greatest is ${ID_MAX}`)
  return id
}

function resourceLimits(rlimits: NonNullable<Command['rlimits']>): ResourceLimit[] {
  return Object.entries(rlimits).map(([name, { soft, hard }]) => {
    const limit = { name: name as RlimitName, soft: valueOf(soft), hard: valueOf(hard) }
    if (limit.soft > limit.hard) throw invalid(`rlimits.${name}`, 'has a soft limit above its hard one')
    return limit
  })
}

const valueOf = (limit: number | 'unlimited') => (limit === 'unlimited' ? UNLIMITED : BigInt(limit))

import type { ProcessSpec } from '../drivers/driver.js'
import type { Command } from '../schemas/process.js'
import { SET_INIT, SET_REAPER } from '../vocabulary/migrate.js'
import type { Writes } from './audited.js'

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Nothing of the daemon's environment reaches a guest. */
export function processSpec({ argv, env, cwd, user }: Command): ProcessSpec {
  const uid = user?.uid ?? 0
  return {
    argv,
    env: { PATH: DEFAULT_PATH, HOME: uid === 0 ? '/root' : '/', TERM: 'linux', ...env },
    cwd: cwd ?? '/',
    uid,
    gid: user?.gid ?? uid,
    groups: user?.groups ?? []
  }
}

/** @param startDelayMs for which the start may stay untold (MigrateData) */
export async function startInit(xid: number, init: Command, writes: Writes, startDelayMs?: number): Promise<void> {
  await writes.vx_migrate(xid, { flags: SET_INIT | SET_REAPER, process: processSpec(init), startDelayMs })
}

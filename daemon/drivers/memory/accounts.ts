import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessUser } from '../driver.js'
import { CallError } from '../errors.js'

/** Names in the first field of passwd(5) or group(5). */
function hasName(file: string, name: string): boolean {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .some((line) => line.startsWith(`${name}:`))
  } catch {
    return false // a guest need not have accounts
  }
}

/**
 * Looks for the names among this machine's files below `root`, as a launcher does among the guest's.
 * @throws CallError ENOENT when there is no such user or group
 */
export function checkAccount({ name, group }: ProcessUser, root: string | null): void {
  const find = (call: string, kind: string, wanted: string | undefined, file: string) => {
    if (wanted !== undefined && !hasName(join(root ?? '/', file), wanted))
      throw new CallError('ENOENT', call, `there is no ${kind} ${wanted} in the guest's ${file}`)
  }
  find('getpwnam', 'user', name, '/etc/passwd')
  find('getgrnam', 'group', group, '/etc/group')
}

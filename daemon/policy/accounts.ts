/** Names of users and groups, from the files of passwd(5) and group(5). Other directories are known by id only. */
import { readFileSync } from 'node:fs'

/** The id is the third field of both. */
function idsIn(path: string): Map<string, number> {
  const lines = readFileSync(path, 'utf8').split('\n')
  return new Map(
    lines.flatMap((line) => {
      const [name = '', , id = ''] = line.split(':')
      return name !== '' && /^\d+$/.test(id) ? [[name, Number(id)] as const] : []
    })
  )
}

export interface Accounts {
  users: ReadonlyMap<string, number>
  groups: ReadonlyMap<string, number>
}

/** As they are now. @throws Error of node:fs */
export function readAccounts(): Accounts {
  return { users: idsIn('/etc/passwd'), groups: idsIn('/etc/group') }
}

/** The gid of a group, undefined when there is none of that name. */
export const gidOf = (name: string): number | undefined => idsIn('/etc/group').get(name)

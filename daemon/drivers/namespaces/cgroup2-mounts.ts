/** Where cgroup v2 is mounted. */
import { readFileSync } from 'node:fs'

export interface Cgroup2Mount {
  /** Directory of the hierarchy that is mounted. */
  root: string
  path: string
}

/** mountinfo escapes space, tab, newline and backslash as octal (proc(5)). */
const unescape = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** The cgroup2 mounts, unified or beside v1 ones, of /proc/self/mountinfo (proc(5)). */
export function cgroup2Mounts(mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): Cgroup2Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [fields = '', filesystem = ''] = line.split(' - ')
    const [, , , root = '', path = ''] = fields.split(' ')
    return filesystem.startsWith('cgroup2 ') ? [{ root: unescape(root), path: unescape(path) }] : []
  })
}

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mutant } from './table.js'

/**
 * The file below `where` that has the text, once.
 * @param checkout whose files git knows
 * @param from the same files, where they are read
 * @throws Error when the table no longer fits the code
 */
export function placeOf({ where, find }: Mutant, checkout: string, from = checkout): string {
  const listed = execFileSync('git', ['ls-files', '-z', where], { cwd: checkout, encoding: 'utf8' }).split('\0')
  const files = listed.filter((file) => file !== '' && existsSync(join(from, file)))
  const found = files.flatMap((file) => {
    const times = readFileSync(join(from, file), 'utf8').split(find).length - 1
    return Array.from({ length: times }, () => file)
  })
  const [file] = found
  if (file === undefined || found.length > 1) throw new Error(`${where} has this ${found.length} times: ${find}`)
  return file
}

/** Lines reach the disk by themselves. */
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LogFile } from '../../daemon/audit/file.js'
import { until } from '../support/poll.js'
import { folder } from './support.js'

void t.test('a line that is appended is synced soon, and what fails there is told of', async (t) => {
  const path = join(folder(t), 'audit.log')
  let failure: unknown
  const file = new LogFile(path, (error) => {
    failure ??= error
  })
  file.append('a line\n')
  // In place of the file comes one that fdatasync(2) refuses, so that a sync shows.
  const fd =
    readdirSync('/proc/self/fd')
      .map(Number)
      .find((each) => isAt(each, path)) ?? -1
  closeSync(fd)
  t.equal(openSync('/proc/self/status', 'r'), fd)
  t.match(await until('it is told of', () => failure), { code: 'EINVAL', syscall: 'fdatasync' })
  await file.close(false)
})

function isAt(fd: number, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === path
  } catch {
    return false // that of the directory itself
  }
}

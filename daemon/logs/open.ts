import { resolve } from 'node:path'
import type { DriverName } from '../drivers/driver.js'
import { LogFiles } from './files.js'
import { Journal } from './journal.js'
import { emptyLogs, noLogs, type GuestLogs } from './logs.js'

export type GuestLogKind = 'file' | 'journal' | 'none'

/** Settings. */
export interface LogSettings {
  driver: DriverName | 'auto'
  guestLog: GuestLogKind
  logDir: string
  /** Bytes. */
  logSize: number
  logFiles: number
  journalSocket: string
}

/**
 * As the settings say.
 * @throws CallError naming what is missing or cannot be written
 */
export async function openLogs(config: LogSettings): Promise<GuestLogs> {
  if (config.driver === 'memory') return emptyLogs
  if (config.guestLog === 'none') return noLogs
  if (config.guestLog === 'journal') return new Journal(resolve(config.journalSocket))
  const { native } = await import('../drivers/native.js')
  return new LogFiles({
    directory: resolve(config.logDir),
    size: config.logSize,
    count: config.logFiles,
    tryLock: (fd) => native.tryLock(fd),
    numberOf: (fd) => {
      try {
        const number = native.getAttribute(`/proc/self/fd/${fd}`, 'trusted.contextd.number')
        return number === undefined ? undefined : Number(number)
      } catch {
        return undefined // a file system without
      }
    }
  })
}

import { rowsFrom, WordTable } from './word.js'

const seed = rowsFrom('libvserver vserver.h')

/** Migration flags, VXM_*. */
export const migrate = new WordTable('VXM_', [
  seed(0, 'SET_INIT', 'Make current process the new init'),
  seed(1, 'SET_REAPER', 'Make current process the new reaper')
])

export const SET_INIT = migrate.bit('SET_INIT')
export const SET_REAPER = migrate.bit('SET_REAPER')

/** The names of the vocabulary as enums. Input takes them in other forms too: with their prefix, in any case. */
import { bcapsFor } from '../vocabulary/bcaps.js'
import { ccaps } from '../vocabulary/ccaps.js'
import { flags } from '../vocabulary/flags.js'
import { limitNames } from '../vocabulary/limits.js'
import { migrate } from '../vocabulary/migrate.js'
import { rebootCommands } from '../vocabulary/reboot.js'
import { signals } from '../vocabulary/signals.js'
import { unameFields } from '../vocabulary/uname.js'
import type { WordTable } from '../vocabulary/word.js'
import { enumOf } from './common.js'

const namesIn = (...tables: WordTable[]) => [...new Set(tables.flatMap((table) => table.rows.map(({ name }) => name)))]

export const FlagName = enumOf(namesIn(flags), { $id: 'FlagName', description: 'VXF_* without the prefix.' })
export const BcapName = enumOf(namesIn(bcapsFor('linux'), bcapsFor('vs2.3'), bcapsFor('seed')), {
  $id: 'BcapName',
  description: 'CAP_* without the prefix; /vocabulary has those of this kernel.'
})
export const CcapName = enumOf(namesIn(ccaps), { $id: 'CcapName', description: 'VXC_* without the prefix.' })
export const MigrateName = enumOf(namesIn(migrate), { $id: 'MigrateName', description: 'VXM_* without the prefix.' })
export const SignalName = enumOf(
  signals.map(({ name }) => name),
  { $id: 'SignalName', description: 'As in signal(7).' }
)
export const UnameFieldName = enumOf(
  unameFields.map(({ name }) => name),
  { $id: 'UnameFieldName', description: 'A field of the virtual system information.' }
)
export const LimitFieldName = enumOf(limitNames, { $id: 'LimitName', description: 'A limit of a context.' })
export const RebootCommand = enumOf(
  rebootCommands.map(({ name }) => name),
  { $id: 'RebootCommand', description: 'LINUX_REBOOT_CMD_* without the prefix.' }
)

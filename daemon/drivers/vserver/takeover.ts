/** What an earlier daemon has left. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PERSISTENT } from '../../vocabulary/flags.js'
import { SIGKILL } from '../../vocabulary/signals.js'
import { CallError, whileThere } from '../errors.js'
import { vserver } from '../native.js'
import { ask, bornOf, exists } from './calls.js'
import type { Records } from './records.js'

/** How long what was killed may take to be gone. */
const REMOVE_TIMEOUT_MS = 10_000

/**
 * A record that an earlier daemon left: of a context that is gone, half-made, or whole. A half-made one is removed.
 * @throws CallError EBUSY when that does not end
 */
export async function takeOver(xid: number, records: Records): Promise<void> {
  const born = whileThere(() => bornOf(xid))
  if (born === undefined || !records.has(xid, born)) {
    records.forget(xid)
    return
  }
  if (records.of(xid, born).settled) return
  removeNow(xid)
  for (let waited = 0; exists(xid); waited += 10) {
    if (waited > REMOVE_TIMEOUT_MS)
      throw new CallError('EBUSY', 'ctx_kill', `context ${xid} was left half-made and does not end`)
    await sleep(10)
  }
  records.forget(xid)
}

function removeNow(xid: number): void {
  whileThere(() => {
    ask(xid, () => {
      vserver.setCflags(xid, 0n, PERSISTENT)
      vserver.ctxKill(xid, 0, SIGKILL)
    })
  })
}

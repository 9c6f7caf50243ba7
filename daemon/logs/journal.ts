/** Logs in the journal of the host, written by launchers: native/launcher/log/journal.cc. */
import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Refusal } from '../contexts/refusal.js'
import { withErrno } from '../drivers/errors.js'
import type { LogTarget } from '../drivers/launcher/order.js'
import type { GuestLogs, LogOwner } from './logs.js'

/** Of a journal namespace: systemd-journald.service(8). */
const NAMESPACE = /^\/run\/systemd\/journal\.([^/]+)\/socket$/

export class Journal implements GuestLogs {
  readonly target: LogTarget
  readonly #boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

  /**
   * @param socket that journald listens on; it may come later, its directory may not
   * @throws CallError naming the directory that is missing
   */
  constructor(readonly socket: string) {
    const directory = dirname(socket)
    this.target = {
      fd: withErrno('open', `${directory}: no journal is there`, () =>
        openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
      ),
      fieldsOf: (owner) => ({ log: owner.xid, log_owner: this.#ownerOf(owner), log_journal: basename(socket) })
    }
  }

  /** Who may read the journal is for the host to say; the command is what its operator needs. */
  read(owner: LogOwner): never {
    const namespace = NAMESPACE.exec(this.socket)?.[1]
    const command = [
      'journalctl',
      ...(namespace === undefined ? [] : [`--namespace=${namespace}`]),
      '_UID=0', // any user can write to a journal, with any fields but those that start with an underscore
      `CONTEXTD_XID=${owner.xid}`,
      `"CONTEXTD_OWNER=${this.#ownerOf(owner)}"`
    ]
    throw new Refusal(501, 'log-in-journal', `what guests write is in the journal: ${command.join(' ')}`, owner.xid)
  }

  /** Entries name their context, and journald looks after them. */
  forget(): void {
    return undefined
  }

  died(): void {
    return undefined
  }

  close(): void {
    closeSync(this.target.fd)
  }

  #ownerOf({ incarnation }: { incarnation: bigint }): string {
    return `${this.#boot} ${incarnation}`
  }
}

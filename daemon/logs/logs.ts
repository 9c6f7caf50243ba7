/** The output of guests' processes that are not captured: where it goes, and how it is read. */
import { Refusal } from '../refusal.js'
import type { LogTarget } from '../drivers/launcher/order.js'

/** One of the contexts that have had this xid. */
export interface LogOwner {
  xid: number
  /** Driver.incarnation */
  incarnation: bigint
}

export interface LogQuery {
  /** Goes on with what is written from now on. */
  follow?: boolean | undefined
  /** So many of the last lines; default all. */
  tail?: number | undefined
  stream?: 'stdout' | 'stderr' | undefined
  /** By exactTime(); lines before it are left out. */
  since?: string | undefined
}

/** Until when a log is followed. */
export interface Following {
  /** The context is there still, and is the same one. */
  isThere: () => boolean
  signal: AbortSignal
  /** Called once it is known where to begin: nothing that is written from then on is missed. */
  placed?: () => void
}

export interface GuestLogs {
  /** What launchers are given; undefined: output goes to /dev/null. */
  readonly target: LogTarget | undefined
  /**
   * Whole lines of `TIME STREAM F|P TEXT`, in the order in which they were written.
   * @throws Refusal when nothing is kept that could be read
   */
  read(owner: LogOwner, query: LogQuery, following: Following): AsyncIterable<Buffer>
  /** The xid belongs to a new context, in which nothing runs yet: what is kept of an earlier one is removed. */
  forget(xid: number): void
  /**
   * A context has died: what is kept of all dead ones is bounded, soon.
   * @param isThere whether a context with this xid is there
   */
  died(isThere: (xid: number) => boolean): void
  close(): void
}

const silent = { target: undefined, forget: () => undefined, died: () => undefined, close: () => undefined }

/** Nothing is kept, as the settings say. */
export const noLogs: GuestLogs = {
  ...silent,
  read: () => {
    throw new Refusal(501, 'no-log', 'what guests write is not kept (--guest-log none)')
  }
}

/** Of a driver in which nothing runs that could write. */
export const emptyLogs: GuestLogs = {
  ...silent,
  // eslint-disable-next-line @typescript-eslint/no-empty-function -- it yields nothing
  async *read() {}
}

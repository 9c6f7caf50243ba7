/** What one peer may do, ready for the question that every request asks. */
import { Refusal } from '../refusal.js'
import { CallError } from '../drivers/errors.js'
import type { Action } from '../schemas/policy.js'

/** Which contexts an action may touch. */
export interface Grant {
  all: boolean
  /** Those that the peer has created. */
  own: boolean
  /** Inclusive, ascending, apart from each other. */
  ranges: readonly (readonly [from: number, to: number])[]
}

/**
 * The uid that has created a context, as far as it matters to the one who asks: where that is another one, null or
 * undefined will do as well.
 */
export type OwnerOf = (xid: number, asker: number) => number | null | undefined

const isIn = ({ ranges }: Grant, xid: number) => ranges.some(([from, to]) => xid >= from && xid <= to)

export class Access {
  constructor(
    readonly uid: number,
    private readonly grants: Readonly<Record<Action, Grant>>,
    private readonly ownerOf: OwnerOf
  ) {}

  /** Whatever the context. */
  mayAll(action: Action): boolean {
    return this.grants[action].all
  }

  /** With some context at least, be it one that does not exist yet. */
  maySome(action: Action): boolean {
    const { all, own, ranges } = this.grants[action]
    return all || own || ranges.length > 0
  }

  /** @param owner who has created the context, where that is known; looked up only when it matters */
  may(action: Action, xid: number, owner?: number | null): boolean {
    if (this.mayForAnyOwner(action, xid)) return true
    return this.grants[action].own && (owner === undefined ? this.ownerOf(xid, this.uid) : owner) === this.uid
  }

  /** Whoever has created the context. */
  mayForAnyOwner(action: Action, xid: number): boolean {
    const grant = this.grants[action]
    return grant.all || isIn(grant, xid)
  }

  /** @throws what denied() says, unless the peer may */
  check(action: Action, xid: number): void {
    if (!this.may(action, xid)) throw this.denied(action, xid)
  }

  /** To make a context, which is the peer's own from then on. @throws Refusal 403 */
  checkCreate(xid: number): void {
    if (!this.may('create', xid, this.uid)) throw this.denied('create')
  }

  /**
   * Why the peer may not bring a context to a state, made anew or as it is there. Where it may create, a context that it
   * may not see is in its way as in that of POST; where it may not, one that is there and one that is not are alike.
   */
  deniedToApply(xid: number, exists: boolean): Refusal | CallError | undefined {
    const mayCreate = this.may('create', xid, this.uid)
    // Before anything depends on whether it is there.
    if (!mayCreate && !this.may('configure', xid) && !this.may('read', xid)) return this.denied('create')
    if (!exists) return mayCreate ? undefined : this.denied('create')
    if (this.may('configure', xid)) return undefined
    if (this.may('read', xid)) return this.denied('configure', xid)
    return mayCreate ? alreadyThere(xid) : this.denied('create')
  }

  /** The xids that contexts may be made with, as ranges in ascending order. */
  creatable(all: readonly [from: number, to: number]): Grant['ranges'] {
    const { all: any, own, ranges } = this.grants.create
    return any || own ? [all] : ranges
  }

  /**
   * The refusal: 403 with the action that is missing, and about a context that the peer may not read what is said of one
   * that does not exist. One that may read no context at all learns nothing from a 403 either.
   */
  denied(action: Action, xid?: number): Refusal | CallError {
    if (xid !== undefined && this.maySome('read') && !this.may('read', xid)) return noContext(xid)
    return this.lacks(action, xid)
  }

  /** 403 with the action that is missing, where it says nothing of the context. */
  lacks(action: Action, xid?: number): Refusal {
    const where = xid === undefined ? '' : ` of context ${xid}`
    return new Refusal(403, 'forbidden', `uid ${this.uid} lacks the action ${action}${where}`, xid)
  }
}

export const alreadyThere = (xid: number) => new CallError('EEXIST', 'vx_create', `context ${xid} exists`)

/** What is said of a context that does not exist, and of one that the caller may not read. */
export const noContext = (xid: number) => new CallError('ESRCH', 'vx_info', `there is no context ${xid}`)

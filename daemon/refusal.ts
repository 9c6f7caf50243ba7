import type { ProblemName } from './vocabulary/problems.js'

/** A request that is understood and refused before any call is made. */
export class Refusal extends Error {
  override readonly name = 'Refusal'

  /**
   * @param status HTTP status
   * @param type kind of the problem
   */
  constructor(
    readonly status: number,
    readonly type: ProblemName,
    message: string,
    readonly xid?: number
  ) {
    super(message)
  }
}

export const invalid = (field: string, reason: string) => new Refusal(400, 'validation', `${field} ${reason}`)

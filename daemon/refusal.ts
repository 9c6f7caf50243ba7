/** A request that is understood and refused before any call is made. */
export class Refusal extends Error {
  override readonly name = 'Refusal'

  /**
   * @param status HTTP status
   * @param type slug of the problem, explained in SPECIFICATION.md
   */
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
    readonly xid?: number
  ) {
    super(message)
  }
}

export const invalid = (field: string, reason: string) => new Refusal(400, 'validation', `${field} ${reason}`)

/** A call of the driver that failed, with the errno's name and the call all the way up to the answer. */
export class CallError extends Error {
  override readonly name = 'CallError'

  /**
   * @param code errno's name, such as ESRCH
   * @param call the call of the driver interface, or the native one under it where there is one
   * @param detail what was attempted, for people
   */
  constructor(
    readonly code: string,
    readonly call: string,
    readonly detail: string
  ) {
    super(`${call}: ${code}: ${detail}`)
  }
}

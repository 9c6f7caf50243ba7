import { getSystemErrorMap } from 'node:util'

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
    readonly detail: string,
    /** A process has told it that a guest may trace, so the errno may be any. */
    readonly isHearsay = false
  ) {
    super(`${call}: ${code}: ${detail}`)
  }
}

/** Words for an errno's name, as strerror(3) has them. */
const meanings = new Map(getSystemErrorMap().values())

export const meaningOf = (code: string): string | undefined => meanings.get(code)

/** Why something failed, for people: what it is about first, the call and its errno last. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof CallError)) {
    const { code, syscall, path } = error as NodeJS.ErrnoException
    if (code !== undefined && syscall !== undefined && path !== undefined)
      return reasonOf(new CallError(code, syscall, path))
    return error instanceof Error ? error.message : String(error)
  }
  const { code, call, detail } = error
  const isBarePath = /^\/\S*$/.test(detail)
  const meaning = meaningOf(code) ?? 'failed'
  return `${detail === '' ? meaning : isBarePath ? `${detail}: ${meaning}` : detail} (${call}: ${code})`
}

/** Node's file system errors as CallErrors. */
export function withErrno<T>(call: string, path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new CallError(code, syscall ?? call, path)
  }
}

export const isGone = (error: unknown) => error instanceof CallError && error.code === 'ESRCH'

/** Short at the moment: descriptors, memory. Says nothing of what was asked for. */
export const isShortage = (error: unknown) =>
  ['EMFILE', 'ENFILE', 'ENOMEM'].includes((error as { code?: string } | undefined)?.code ?? '')

/** What `read` answers, or undefined when the context it is about has ended meanwhile. */
export function whileThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** What is said of a call that failed: what was tried, why it failed, what can be done. */
import { meaningOf, type CallError } from '../drivers/errors.js'

/** By the status that is answered. */
const advice = new Map([
  [403, 'the daemon itself is not allowed to; what confines it has to be changed'],
  [404, 'look at what is there'],
  [409, 'look at how things are, then ask for what fits'],
  [422, 'ask again with one that is right'],
  [501, 'this host cannot do it'],
  [503, 'try again later']
])

/** A path, or nothing at all, as the call was given it. */
const isBare = (detail: string) => !/\s/.test(detail) || (detail.startsWith('/') && !/: |; | is /.test(detail))

/** Drivers say in words what they know of; a native call alone has a path. */
export function sentenceOf({ code, call, detail }: CallError, status: number): string {
  if (!isBare(detail)) return detail
  const what = detail === '' ? call : `${call} of ${detail}`
  return `${what} failed: ${meaningOf(code) ?? code}; ${advice.get(status) ?? "the daemon's log says more"}`
}

import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'

/** libvserver's context API, and what the API needs beside it. */
const calls = [
  'vx_create',
  'vx_migrate',
  'vx_task_xid',
  'vx_info',
  'vx_stat',
  'vx_bcaps_get',
  'vx_bcaps_set',
  'vx_ccaps_get',
  'vx_ccaps_set',
  'vx_flags_get',
  'vx_flags_set',
  'vx_uname_get',
  'vx_uname_set',
  'vx_kill',
  'vx_wait',
  'limits_get',
  'limits_set'
] as const

/** Of a call that succeeded. */
const SUCCESS = 'OK'

interface Count {
  succeeded: number
  failed: Map<string, number>
}

/** How often each call of the driver has ended in which way. */
export class CallCounts {
  readonly #counts = new Map<string, Count>()

  /**
   * Counts from now on. The driver gets another prototype: a copy would lack its private fields, and methods of its own
   * would make V8 look all of them up slowly.
   */
  constructor(driver: Driver) {
    const methods = Object.getPrototypeOf(driver) as Record<(typeof calls)[number], Call>
    const counting = Object.create(methods) as Record<(typeof calls)[number], Call>
    for (const name of calls) {
      const count: Count = { succeeded: 0, failed: new Map() }
      this.#counts.set(name, count)
      counting[name] = counted(methods[name], count)
    }
    Object.setPrototypeOf(driver, counting)
  }

  *[Symbol.iterator](): Generator<{ call: string; errno: string; count: number }> {
    for (const [call, { succeeded, failed }] of this.#counts) {
      yield { call, errno: SUCCESS, count: succeeded }
      for (const [errno, count] of failed) yield { call, errno, count }
    }
  }
}

type Call = (this: unknown, ...args: unknown[]) => unknown

function counted(call: Call, count: Count): Call {
  const failed = (error: unknown): never => {
    const errno = error instanceof CallError ? error.code : 'EIO'
    count.failed.set(errno, (count.failed.get(errno) ?? 0) + 1)
    throw error
  }
  return function (...args) {
    let answer: unknown
    try {
      answer = call.apply(this, args)
    } catch (error) {
      return failed(error)
    }
    if (answer instanceof Promise)
      return answer.then((value: unknown) => {
        count.succeeded++
        return value
      }, failed)
    count.succeeded++
    return answer
  }
}

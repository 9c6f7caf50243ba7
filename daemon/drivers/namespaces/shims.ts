/** Shims that an earlier daemon started. */
import { CallError } from '../errors.js'
import { Launch } from '../launcher/launch.js'
import { Line } from '../launcher/line.js'
import { native, protocol } from '../native.js'
import type { Attributes } from './attributes.js'
import type { Context } from './context.js'

/** Connects to the shim of a context's last run. Undefined when it is gone or cannot be talked to; context.unreachable says why. */
export function reachShim(context: Context, { shim = '' }: Attributes): Launch | undefined {
  const [pid = 0, startTime = 0, spoken = 0] = shim.split(' ').map(Number)
  if (!pid) {
    context.unreachable = 'its shim is of a version that no other daemon can talk to'
    return undefined
  }
  if (spoken !== protocol) {
    context.unreachable = `its shim, pid ${pid}, speaks protocol ${spoken}, and this daemon ${protocol}`
    return undefined
  }
  try {
    return new Launch(new Line(native.connectShim(pid, startTime, protocol)))
  } catch (error) {
    if (!(error instanceof CallError)) throw error
    context.unreachable =
      error.code === 'ESRCH'
        ? `its shim, pid ${pid}, was killed`
        : `its shim, pid ${pid}, cannot be reached: ${error.call} ${error.code}`
    return undefined
  }
}

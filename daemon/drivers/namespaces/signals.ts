/** Signals to the processes of a context, as vx_kill means them. */
import { SIGKILL } from '../../vocabulary/signals.js'
import { CallError } from '../errors.js'
import { native } from '../native.js'
import * as rules from '../rules.js'
import type { Context } from './context.js'

/** @param pid 0: every process; -1: every one but init; 1: init; else that host pid */
export async function signalContext(context: Context, pid: number, signal: number): Promise<void> {
  await context.starting // before it has started there is nobody to signal but our own launcher
  const { path, line, initpid: init, reaper } = context
  const toAll = (sent: number, except: number) => native.signalMembers(path, line, sent, init, except)
  const toOne = (target: number, sent: number) => native.signalMember(path, line, target, sent, init)
  const nobody = () => new CallError('ESRCH', 'vx_kill', `context ${context.xid} has no process for pid ${pid}`)

  if (pid > 0) {
    const target = pid === 1 ? init : pid
    if (target === 0 || target === reaper) throw nobody()
    const administrable = rules.isAdministrable(context.flags)
    toOne(target, pid !== 1 || administrable ? signal : rules.signalToInit(context.flags, await toAll(0, 0), signal))
    return
  }
  // The death of PID 1 ends its whole namespace, and no fork escapes it (pid_namespaces(7)). Not cgroup.kill: once
  // used, Linux 6.18 kills at birth whatever CLONE_INTO_CGROUP puts there later.
  if (pid === 0 && signal === SIGKILL && (init || reaper)) {
    const others = init || (await toAll(0, reaper))
    const { pid1 } = context // that one may have ended meanwhile, and another taken its place
    if (pid1) toOne(pid1.pid, SIGKILL)
    if (!others) throw nobody()
    return
  }
  if ((await toAll(signal, pid === -1 ? init || reaper : reaper)) === 0) throw nobody()
}

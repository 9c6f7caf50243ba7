/** What launchers report: native/launcher/protocol/report.h. */

/** How a process has ended. */
export interface End {
  /** wait(2) status word. */
  status: number
  /** The kernel has killed it for lack of memory; null: nobody knows. */
  oomKilled: boolean | null
}

export interface Exit extends End {
  timedOut: boolean
  truncated: boolean
}

/** As native/launcher/children/oom.h has it, in frames and attributes. */
export function parseEnd(status: string, oom = ''): End {
  return { status: Number(status), oomKilled: oom === '1' ? true : oom === '0' ? false : null }
}

/** @param text of an 'X' frame */
export function parseExit(text: string): Exit {
  const [status = '', timedOut, truncated, oom] = text.split(' ')
  const end = parseEnd(status, oom)
  return { status: end.status, oomKilled: end.oomKilled, timedOut: timedOut === '1', truncated: truncated === '1' }
}

/** PID 1 of a context: the guest's init, or our reaper in its place. */
export interface Pid1 {
  pid: number
  role: 'init' | 'reaper'
}

/** @param text "PID init" or "PID reaper" */
export function parsePid1(text: string): Pid1 | undefined {
  const [pid = '', role] = text.split(' ')
  return role === 'init' || role === 'reaper' ? { pid: Number(pid), role } : undefined
}

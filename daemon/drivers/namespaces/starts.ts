/** Starts processes in contexts: an init, or others beside a reaper that stands in for one. */
import { setTimeout as sleep } from 'node:timers/promises'
import { bcapsFor } from '../../vocabulary/bcaps.js'
import { IGNEG_NICE, STATE_INIT, STATE_SETUP } from '../../vocabulary/flags.js'
import { SET_INIT } from '../../vocabulary/migrate.js'
import type { MigrateData, Migrated } from '../driver.js'
import { CallError } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import type { Launchers } from '../launcher/launchers.js'
import type { LauncherSpec } from '../launcher/order.js'
import type { Pid1 } from '../launcher/report.js'
import * as rules from '../rules.js'
import { isFrozen, isPopulated, setFrozen } from './cgroups.js'
import type { Context } from './context.js'
import type { Ends } from './ends.js'
import type { Lives } from './lives.js'

const SYS_ADMIN = bcapsFor('linux').bit('SYS_ADMIN')
/** Starts of a process, when the reaper ends each time just before. */
const MAX_ATTEMPTS = 5
/** How long the end of a reaper that has lost its last process may take to be heard of. */
const LOST_REAPER_TIMEOUT_MS = 1000
/** How long a flag's setter waits for the last process to stop. One in an uninterruptible sleep stops after it. */
const FREEZE_TIMEOUT_MS = 1000

export class Starts {
  readonly #lives: Lives
  readonly #ends: Ends
  readonly #launchers: Launchers

  constructor(lives: Lives, ends: Ends, launchers: Launchers) {
    this.#lives = lives
    this.#ends = ends
    this.#launchers = launchers
  }

  /** @throws CallError of vx_migrate */
  async start(context: Context, data: MigrateData): Promise<Migrated> {
    for (let attempt = 1; ; attempt++) {
      if (context.gone) throw shuttingDown(context)
      try {
        if (data.flags & SET_INIT) return { pid: await this.#startInit(context, data) }
        return await this.#startProcess(context, data)
      } catch (error) {
        if (!(error instanceof LostReaper)) throw error
        if (attempt === MAX_ATTEMPTS) throw error.cause
        await Promise.race([context.shim?.ended, sleep(LOST_REAPER_TIMEOUT_MS)])
      }
    }
  }

  /** As SCHED_PAUSE says. Nothing starts from now on, and what was about to is let through: frozen it would be lost. */
  async pauseOrGoOn(context: Context): Promise<void> {
    const { paused } = context
    if (paused) while (context.starts.size > 0) await Promise.all(context.starts)
    if (context.gone || context.paused !== paused) return // a later call does it
    setFrozen(context.path, paused)
    for (let waited = 0; context.paused && !isFrozen(context.path) && waited < FREEZE_TIMEOUT_MS; waited += 5)
      await sleep(5)
  }

  async #startInit(context: Context, data: MigrateData): Promise<number> {
    while (context.starting) await context.starting
    const { pid1, shim } = context
    if (pid1?.role === 'init')
      throw new CallError('EPERM', 'vx_migrate', `context ${context.xid} has an init, pid ${pid1.pid}`)
    if (pid1 && !shim)
      throw new CallError(
        'EPERM',
        'vx_migrate',
        `context ${context.xid} has processes that an earlier daemon started, and ${context.unreachable}; end them first`
      )
    const spec = specOf(context, 'init', data)
    return this.#leavingSetup(context, STATE_SETUP | STATE_INIT, () =>
      whileStarting(context, () =>
        shim && pid1
          ? this.#replaceReaper(context, shim, spec)
          : unpaused(context, () => this.#startPid1(context, spec, 'init'))
      )
    )
  }

  async #replaceReaper(context: Context, shim: Launch, spec: LauncherSpec): Promise<number> {
    let pid
    try {
      pid = await unpaused(context, () => shim.becomeInit(spec))
    } catch (error) {
      throw isEnded(error) ? new LostReaper(error) : error
    }
    this.#lives.hasPid1(context, { pid, role: 'init' })
    this.#lives.started(context, pid)
    return pid
  }

  async #startProcess(context: Context, data: MigrateData): Promise<Migrated> {
    const pid1 = await this.#ensurePid1(context)
    const { join, pid } = await this.#leavingSetup(context, STATE_SETUP, () =>
      unpaused(context, () => this.#join(context, pid1, data))
    )
    if (!data.capture) return { pid }
    const exit = await join.ended
    if (!exit) throw new CallError('EIO', 'waitpid', 'the launcher was killed before the process ended')
    const { stdout, stderr, releaseOutput: release } = join
    return { pid, captured: { ...exit, stdout, stderr, release } }
  }

  async #ensurePid1(context: Context): Promise<Pid1> {
    while (!context.pid1 && !context.gone) {
      if (context.starting) await context.starting
      else {
        const spec = specOf(context, 'reaper')
        await whileStarting(context, () => unpaused(context, () => this.#startPid1(context, spec, 'reaper')))
      }
    }
    if (!context.pid1) throw shuttingDown(context)
    return context.pid1
  }

  async #startPid1(context: Context, spec: LauncherSpec, role: Pid1['role']): Promise<number> {
    await forgetLastRun(context)
    noteGranted(context)
    const shim = this.#launchers.start(spec, context)
    context.hasRun = true
    const ended = this.#ends.followShim(context, shim)
    let pid
    try {
      pid = await shim.started
    } catch (error) {
      await ended // nothing of the attempt is left when it is answered
      throw error
    }
    this.#lives.hasPid1(context, { pid, role })
    if (role === 'init') this.#lives.started(context, pid)
    return pid
  }

  /** @throws LostReaper when the reaper has ended with its last process just now */
  async #join(context: Context, pid1: Pid1, data: MigrateData): Promise<{ join: Launch; pid: number }> {
    const spec = { ...specOf(context, 'exec', data), pokeReaper: pid1.role === 'reaper' }
    noteGranted(context)
    try {
      const join = this.#launchers.start(spec, context, context.openPid1())
      context.joins.add(join)
      const ended = join.ended.then(async (exit) => {
        context.joins.delete(join)
        if (exit) context.taskEndedBy(exit)
        if (exit && join.pid) this.#lives.processEnded(context, join.pid, exit, data.capture !== undefined)
        await this.#lives.changed(context)
      })
      ended.catch(this.#lives.reportLost)
      try {
        const pid = await join.started
        this.#lives.started(context, pid)
        return { join, pid }
      } catch (error) {
        await ended
        throw error
      }
    } catch (error) {
      throw pid1.role === 'reaper' && isEnded(error) ? new LostReaper(error) : error
    }
  }

  /** Guest code never runs with STATE_SETUP set, so the bits go first; they come back when nothing was run. */
  async #leavingSetup<T>(context: Context, cleared: bigint, work: () => Promise<T>): Promise<T> {
    const before = context.flags & cleared
    if (before) context.saveWord('flags', context.flags & ~cleared)
    try {
      return await work()
    } catch (error) {
      const somebodyRuns = context.initpid !== 0 || context.joins.size > 0
      const restored = somebodyRuns ? before & ~STATE_SETUP : before
      if (restored && !context.gone) context.saveWord('flags', context.flags | restored)
      throw error
    } finally {
      this.#lives.touch(context)
    }
  }
}

const specOf = (context: Context, mode: LauncherSpec['mode'], data?: MigrateData): LauncherSpec => ({
  mode,
  bcaps: context.bcaps,
  spaces: context.spaces,
  lxcfs: context.lxcfs,
  ignoreNice: (context.flags & IGNEG_NICE) !== 0n,
  root: context.root,
  nodename: context.names.get('nodename'),
  domainname: context.names.get('domainname'),
  forkSlot: context.forks?.slot,
  log: context,
  process: data?.process,
  capture: data?.capture,
  timeoutMs: data?.timeoutMs,
  startDelayMs: data?.startDelayMs
})

const shuttingDown = ({ xid }: Context) => new CallError('EFAULT', 'vx_migrate', `context ${xid} is shutting down`)

/** One PID 1 at a time is on its way; whoever needs one waits for it. */
async function whileStarting<T>(context: Context, work: () => Promise<T>): Promise<T> {
  const working = work()
  context.starting = working.catch(() => undefined)
  try {
    return await working
  } finally {
    context.starting = undefined
  }
}

/** Starts a process, which a pause waits for. */
function unpaused<T>(context: Context, work: () => Promise<T>): Promise<T> {
  rules.requireUnpaused(context.flags, context.xid, 'vx_migrate')
  const working = work()
  const settled = working.then(
    () => undefined,
    () => undefined
  )
  context.starts.add(settled)
  void settled.then(() => context.starts.delete(settled))
  return working
}

/** Clears away what the last run left, so that two PID 1s never share a context. */
async function forgetLastRun(context: Context): Promise<void> {
  if (!context.hasRun) return
  const deadline = Date.now() + LOST_REAPER_TIMEOUT_MS
  while (isPopulated(context.path)) {
    if (Date.now() > deadline)
      throw new CallError('EAGAIN', 'vx_migrate', `processes of context ${context.xid}'s last run are still ending`)
    await sleep(5)
  }
  context.forgetRun()
}

function noteGranted(context: Context): void {
  if (context.bcaps & SYS_ADMIN) context.noteOwnNames()
}

/** The reaper of a context has ended before the process that needed it was started; another one can be made. */
class LostReaper extends Error {
  constructor(override readonly cause: unknown) {
    super('the reaper has ended')
  }
}

/** What the calls on a PID namespace answer when its PID 1 is gone or going; ENOMEM is clone(2)'s way to say it, EPIPE its shim's. */
export function isEnded(error: unknown): boolean {
  return error instanceof CallError && ['ESRCH', 'ENOMEM', 'EPIPE'].includes(error.code)
}

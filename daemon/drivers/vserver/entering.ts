/** What moves a task into a context: the launcher does it, never the daemon itself. */
import { INFO_INIT, INFO_PRIVATE, PERSISTENT, STATE_INIT, STATE_SETUP } from '../../vocabulary/flags.js'
import { SET_INIT } from '../../vocabulary/migrate.js'
import { SIGKILL } from '../../vocabulary/signals.js'
import type { CreateData, MigrateData, Migrated, Process, ProcessEnd } from '../driver.js'
import { CallError } from '../errors.js'
import type { Launch } from '../launcher/launch.js'
import { Launchers } from '../launcher/launchers.js'
import type { LauncherSpec, LogTarget } from '../launcher/order.js'
import type { Exit } from '../launcher/report.js'
import { vserver } from '../native.js'
import { parseStat } from '../procfs.js'
import { ask, bornOf, explained, flagsOf } from './calls.js'
import type { Records } from './records.js'

/** Zombies keep their xid until they are waited for, also when their context is gone and another one has it. */
const hasEnded = ['Z', 'X']

export class Entrances {
  readonly #launchers: Launchers
  readonly #launches = new Set<Launch>()
  /** First processes on their way into a context that is being set up. */
  readonly #entering = new Map<number, Promise<unknown>>()

  /**
   * @param spaces CLONE_* of the namespaces that a context gets of its own
   * @param log where output goes that is not captured
   * @param started hears of each process that has been started
   * @param ended and of the end of each
   */
  constructor(
    private readonly spaces: bigint,
    log: LogTarget | undefined,
    private readonly records: Records,
    private readonly started: (xid: number, pid: number, isInit: boolean) => void,
    private readonly ended: (xid: number, end: ProcessEnd) => void
  ) {
    this.#launchers = new Launchers(undefined, log)
    this.#launchers.prepare('plain')
  }

  /** A new context with namespaces and mounts of its own, PERSISTENT whatever `data` says. */
  async create(xid: number, { flags, root }: CreateData): Promise<void> {
    await this.#launch({ mode: 'vs_create', xid, root: root ?? null, word: flags | PERSISTENT, spaces: this.spaces })
  }

  async migrate(xid: number, data: MigrateData): Promise<Migrated> {
    for (;;) {
      const flags = flagsOf(xid)
      if (!(flags & STATE_SETUP)) return this.#enter(xid, data, flags, 0n).result
      const before = this.#entering.get(xid)
      if (before) {
        await before.catch(() => undefined)
        continue
      }
      // One at a time: the first ends the setup, for good.
      const cleared = STATE_SETUP | (data.flags & SET_INIT ? STATE_INIT : 0n)
      const { started, result } = this.#enter(xid, data, flags, cleared)
      this.#entering.set(xid, started)
      started.catch(() => undefined).finally(() => this.#entering.delete(xid))
      return result
    }
  }

  /** Resolves when no first process is on its way into the context. */
  async settled(xid: number): Promise<void> {
    await this.#entering.get(xid)?.catch(() => undefined)
  }

  async processes(xid: number): Promise<Process[]> {
    const initpid = ask(xid, () => vserver.vxInfo(xid))
    const showsInit = (flagsOf(xid) & INFO_INIT) !== 0n
    const { stdout } = await this.#launch({ mode: 'vs_list', xid })
    return stdout
      .toString()
      .split('\0')
      .filter((stat) => stat !== '')
      .map((stat) => {
        const pid = parseInt(stat, 10)
        return parseStat(stat, showsInit && pid === initpid ? 1 : pid).process
      })
      .filter(({ state }) => !hasEnded.includes(state))
  }

  close(): void {
    for (const launch of this.#launches) launch.release()
    this.#launchers.close()
  }

  #start(spec: LauncherSpec): Launch {
    const launch = this.#launchers.start(spec)
    this.#launches.add(launch)
    void launch.ended.then(() => this.#launches.delete(launch))
    return launch
  }

  /** Runs a launcher to its end. */
  async #launch(spec: LauncherSpec & { xid: number }): Promise<Launch> {
    const launch = this.#start(spec)
    const [started] = await Promise.allSettled([launch.started, launch.ended])
    if (started.status === 'rejected') throw explained(started.reason, spec.xid)
    return launch
  }

  #enter(xid: number, data: MigrateData, flags: bigint, clears: bigint) {
    const launch = this.#start({
      mode: 'vs_enter',
      xid,
      word: data.flags,
      spaces: this.spaces,
      clears,
      isPrivate: (flags & INFO_PRIVATE) !== 0n,
      log: { xid, incarnation: this.#writesAs(xid) },
      process: data.process,
      capture: data.capture,
      timeoutMs: data.timeoutMs
    })
    const started = launch.started.then(
      (pid) => {
        this.started(xid, pid, (data.flags & SET_INIT) !== 0n)
        return pid
      },
      async (error: unknown) => {
        await launch.ended // nothing of the attempt is left when it is answered
        throw explained(error, xid)
      }
    )
    void launch.ended.then((exit) => {
      const { pid } = launch
      if (exit && pid) this.ended(xid, endOf(pid, exit, data))
    })
    return { started, result: this.#migrated(launch, started, data) }
  }

  /** A record that is not settled is of the context that is being made just now. */
  #writesAs(xid: number): bigint {
    if (this.records.isMaking(xid)) return this.records.lastIncarnation(xid)
    return this.records.keepIncarnation(xid, bornOf(xid))
  }

  async #migrated(launch: Launch, started: Promise<number>, data: MigrateData): Promise<Migrated> {
    const pid = await started
    if (!data.capture) return { pid }
    const exit = await launch.ended
    if (!exit) throw new CallError('EIO', 'waitpid', 'the launcher was killed before the process ended')
    const { oomKilled } = endOf(pid, exit, data)
    const { stdout, stderr, releaseOutput: release } = launch
    return { pid, captured: { ...exit, oomKilled, stdout, stderr, release } }
  }
}

/** Such a kernel has no counter of the context that would say whose memory was short. */
const endOf = (pid: number, { status }: Exit, { flags, capture }: MigrateData): ProcessEnd => ({
  pid,
  status,
  oomKilled: (status & 0x7f) === SIGKILL ? null : false,
  isInit: (flags & SET_INIT) !== 0n,
  captured: capture !== undefined
})

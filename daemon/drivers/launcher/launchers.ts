import { closeSync, constants, openSync } from 'node:fs'
import { WORD_MAX } from '../../vocabulary/word.js'
import { CallError, withErrno } from '../errors.js'
import { launcherPath, native, type Zygote } from '../native.js'
import { isGone, Launch } from './launch.js'
import { Line } from './line.js'
import { encode, type LauncherSpec, type LogTarget, type Order } from './order.js'
import type { Pid1 } from './report.js'
import { endZygote } from './zygote.js'

/** What a launcher gets ready for before it has its order: Kind of native/launcher/protocol/spec.h. */
export type Kind = 'shim' | 'join' | 'plain'

const kinds: Record<LauncherSpec['mode'], Kind> = {
  probe: 'shim',
  init: 'shim',
  reaper: 'shim',
  exec: 'join',
  vs_create: 'plain',
  vs_enter: 'plain',
  vs_list: 'plain'
}

/** Whom a launcher works for. */
export interface Client {
  /** Directory of the context's cgroup. */
  path: string
  /** Undefined while nothing runs in it. */
  pid1?: Pid1 | undefined
}

/** One that has seen a process of this context through. Its memory may tell of it, so it is for no other context. */
interface Used {
  line: Line
  context: Client
}

/** As many as a small host runs commands at a time. */
const MOST_USED = 4

const fits = (line: Line, bcaps: bigint) => (bcaps & ~line.bcaps) === 0n

/** @throws CallError EPIPE when the launcher is gone */
function begin(line: Line, order: Order): Launch {
  const launch = new Launch(line)
  try {
    launch.begin(order)
    return launch
  } catch (error) {
    launch.release()
    throw error
  }
}

/** Of a launcher that was started long ago; undefined when it is gone. */
function tryBegin(line: Line, order: Order): Launch | undefined {
  try {
    return begin(line, order)
  } catch (error) {
    if (error instanceof CallError && isGone(error)) return undefined
    throw error
  }
}

/** Makes launchers. One of each kind is always ready for its order; a few that are done with one take the next. */
export class Launchers {
  readonly #files = native.prepareLauncher(launcherPath)
  #zygote: Zygote
  readonly #spares = new Map<Kind, Line>()
  /** The latest one last. */
  #used: Used[] = []
  #closed = false

  /**
   * @param forks descriptors that launchers keep open, so that forks go on being counted without a daemon
   * @param log where output goes that is not captured; undefined: nowhere
   * @param adopt is given the pid of what makes launchers, before it makes any
   */
  constructor(
    private readonly forks?: { link: number; counters: number },
    private readonly log?: LogTarget,
    private readonly adopt: (pid: number) => void = () => undefined
  ) {
    this.#zygote = this.#startZygote()
  }

  /**
   * @param context that the process will be in; undefined where it has no cgroup
   * @param pid1 pidfd of its PID 1, for mode exec
   * @throws CallError when the launcher cannot be started
   */
  start(spec: LauncherSpec, context?: Client, pid1 = -1): Launch {
    if (!context) return this.#start(spec, undefined, -1, -1)
    const { path } = context
    const directory = withErrno('open', path, () => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY))
    try {
      return this.#start(spec, context, directory, pid1)
    } finally {
      closeSync(directory)
    }
  }

  #start(spec: LauncherSpec, context: Client | undefined, cgroup: number, pid1: number): Launch {
    const order = this.#order(spec, cgroup, pid1)
    const kind = kinds[spec.mode]
    const bcaps = spec.bcaps ?? WORD_MAX
    const spare = this.#takeUsed(context, kind, bcaps) ?? this.#takeSpare(kind, bcaps)
    const launch = (spare && tryBegin(spare, order)) ?? begin(this.#fork(kind, bcaps), order)
    if (kind === 'join' && context)
      launch.onFree = (line) => {
        this.#keep({ line, context })
      }
    // While this one works; the caller goes first. The next order is most likely one like this.
    setImmediate(() => {
      this.prepare(kind, bcaps)
    })
    return launch
  }

  #takeSpare(kind: Kind, bcaps: bigint): Line | undefined {
    const spare = this.#spares.get(kind)
    this.#spares.delete(kind)
    if (!spare || fits(spare, bcaps)) return spare
    spare.close()
    return undefined
  }

  #takeUsed(context: Client | undefined, kind: Kind, bcaps: bigint): Line | undefined {
    if (kind !== 'join') return undefined
    const at = this.#used.findLastIndex((used) => used.context === context && fits(used.line, bcaps))
    return at < 0 ? undefined : this.#used.splice(at, 1)[0]?.line
  }

  #keep(used: Used): void {
    if (this.#closed || !used.context.pid1) {
      used.line.close()
      return
    }
    this.#used.push(used)
    if (this.#used.length > MOST_USED) this.#used.shift()?.line.close()
  }

  /** Nothing runs in the context any more. */
  forget(context: Client): void {
    for (const { line } of this.#used.filter((used) => used.context === context)) line.close()
    this.#used = this.#used.filter((used) => used.context !== context)
  }

  #order(spec: LauncherSpec, cgroup: number, pid1: number): Order {
    const target = spec.log && this.log
    const descriptors = { cgroup, pid1, log: target?.fd ?? -1 }
    return { data: encode(spec, target && spec.log ? target.fieldsOf(spec.log) : {}, descriptors), descriptors }
  }

  /** A zygote that was killed is replaced. */
  #fork(kind: Kind, bcaps: bigint): Line {
    try {
      return new Line(native.forkLauncher(this.#zygote.socket, kind, bcaps), bcaps)
    } catch (error) {
      if (!(error instanceof CallError && isGone(error))) throw error
      endZygote(this.#zygote)
      this.#zygote = this.#startZygote()
      return new Line(native.forkLauncher(this.#zygote.socket, kind, bcaps), bcaps)
    }
  }

  #startZygote(): Zygote {
    const { link = -1, counters = -1 } = this.forks ?? {}
    const zygote = native.startZygote(this.#files.program, this.#files.null, link, counters)
    try {
      this.adopt(zygote.pid)
    } catch (error) {
      endZygote(zygote)
      throw error
    }
    return zygote
  }

  /** @throws CallError when no launcher can be started */
  probe(): void {
    this.#ready('shim')
    this.#ready('plain')
  }

  #ready(kind: Kind, bcaps = WORD_MAX): void {
    if (this.#closed || this.#spares.has(kind)) return
    this.#spares.set(kind, this.#fork(kind, bcaps))
  }

  /** Gets a launcher ready, if none is, for orders of at most these bcaps. */
  prepare(kind: Kind, bcaps?: bigint): void {
    try {
      this.#ready(kind, bcaps)
    } catch {
      // The next start tries again, and has somebody to tell.
    }
  }

  close(): void {
    this.#closed = true
    for (const line of [...this.#spares.values(), ...this.#used.map((used) => used.line)]) line.close()
    endZygote(this.#zygote)
    closeSync(this.#files.program)
    closeSync(this.#files.null)
  }
}

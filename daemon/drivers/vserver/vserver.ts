import type { BcapsAbi } from '../../vocabulary/bcaps.js'
import { PERSISTENT, SC_HELPER } from '../../vocabulary/flags.js'
import type { Treatment, VocabularyKind } from '../../vocabulary/treatment.js'
import type {
  ContextDetails,
  CreateData,
  Death,
  Driver,
  FlagsData,
  MigrateData,
  Migrated,
  Process,
  WaitResult
} from '../driver.js'
import { CallError, whileThere } from '../errors.js'
import type { LogTarget } from '../launcher/order.js'
import { vserver } from '../native.js'
import * as rules from '../rules.js'
import { treatmentOf, type TreatmentTable } from '../treatments.js'
import { ask, bornAt, bornOf, DirectCalls } from './calls.js'
import { Entrances } from './entering.js'
import { HelperCalls, helperProblem } from './helper.js'
import { probeKernel, type Kernel } from './kernel.js'
import { Listing } from './listing.js'
import { LastExits } from './last-exits.js'
import { Lives } from './lives.js'
import { Records } from './records.js'
import { takeOver } from './takeover.js'
import { treatmentsOf } from './treatments.js'

export interface VserverOptions {
  /** Where the kernel lists its contexts. */
  procVirtual: string
  /** Where records are kept. */
  stateDir: string
  /** Where output goes that is not captured. */
  log: LogTarget | undefined
  /** Hears of half-made contexts that cannot be removed. */
  warn: (error: unknown) => void
}

/**
 * Contexts of a Linux-VServer kernel, by vserver(2). The kernel is the database, others may change it too, so every
 * question is asked anew. What moves a task into a context is done by the launcher, never here.
 */
export class VserverDriver extends DirectCalls implements Driver {
  readonly name = 'vserver'
  readonly bcapsAbi: BcapsAbi
  readonly about: string
  onStart: Driver['onStart']
  onProcessEnd: Driver['onProcessEnd']
  onExit: Driver['onExit']
  onDeath: Driver['onDeath']
  onError: Driver['onError']
  readonly warnings: readonly string[]
  #onHelper: Driver['onHelper']

  readonly #treatments: TreatmentTable
  readonly #records: Records
  readonly #listing: Listing
  readonly #helperCalls: HelperCalls
  readonly #lives: Lives
  readonly #entrances: Entrances
  readonly #lastExits = new LastExits()

  private constructor(kernel: Kernel, { procVirtual, stateDir, log }: VserverOptions, records: Records) {
    super()
    const problem = helperProblem()
    this.warnings = [...(problem === undefined ? [] : [`reboot(2) in guests fails: ${problem}`]), ...kernel.warnings]
    this.bcapsAbi = kernel.abi
    this.about = kernel.about
    this.#treatments = treatmentsOf(kernel.abi)
    this.#records = records
    this.#listing = new Listing(procVirtual)
    for (const xid of records.xids()) this.#listing.add(xid)
    this.#helperCalls = new HelperCalls(stateDir)
    this.#lives = new Lives(stateDir, records, {
      ending: (xid, { reboot_cmd }) => this.#helperCalls.beforeEnd(xid, reboot_cmd),
      exited: (xid, result, owner) => this.onExit?.(xid, result, owner),
      died: (xid, result, owner, incarnation) => {
        this.#lastExits.forget(xid)
        this.onDeath?.(xid, result, owner, incarnation)
      },
      failed: (error) => this.onError?.(error)
    })
    this.#entrances = new Entrances(
      kernel.spaces,
      log,
      records,
      (xid, pid, isInit) => {
        this.#lives.noteStart(xid)
        this.#lastExits.started(xid, pid)
        this.onStart?.(xid, pid, isInit)
      },
      (xid, end) => {
        this.#lastExits.ended(xid, end)
        this.onProcessEnd?.(xid, end, records.ownerOf(xid))
      }
    )
  }

  /**
   * Probes, and removes contexts that an earlier daemon left half-made.
   * @throws CallError ENOSYS where there is no such kernel; what the state directory cannot do
   */
  static async open(options: VserverOptions): Promise<VserverDriver> {
    const kernel = probeKernel()
    const records = new Records(options.stateDir)
    let driver
    try {
      driver = new VserverDriver(kernel, options, records)
      for (const xid of records.xids()) await takeOver(xid, records).catch(options.warn)
      for (const xid of driver.list()) await driver.#lives.watchMortal(xid).catch(options.warn)
      return driver
    } catch (error) {
      if (driver) await driver.close()
      else records.close()
      throw error
    }
  }

  takePastDeaths(): readonly Death[] {
    return this.#lives.takePast()
  }

  get onHelper(): Driver['onHelper'] {
    return this.#onHelper
  }

  /** Also hears of calls that were made while no daemon ran. */
  set onHelper(listener: Driver['onHelper']) {
    this.#onHelper = listener
    this.#helperCalls.listen(listener)
  }

  treatment(kind: VocabularyKind, name: string): Treatment {
    return treatmentOf(this.#treatments, kind, name)
  }

  async vx_create(xid: number, data: CreateData): Promise<void> {
    rules.checkXid(xid, 'vx_create')
    if (this.exists(xid)) throw new CallError('EEXIST', 'vx_create', `context ${xid} exists`)
    const problem = data.flags & SC_HELPER ? helperProblem() : undefined
    if (problem !== undefined) throw new CallError('ENOEXEC', 'vx_create', `SC_HELPER: ${problem}`)
    await this.#lives.ended(xid)
    this.#records.begin(xid, data.owner, data.root ?? null, process.hrtime.bigint())
    this.#listing.add(xid)
    try {
      await this.#helperCalls.whileMade(xid, () => this.#entrances.create(xid, data))
    } catch (error) {
      this.#records.forget(xid)
      throw error
    }
    if (!(data.flags & PERSISTENT)) await this.vx_flags_set(xid, { flags: 0n, mask: PERSISTENT })
  }

  settle(xid: number): void {
    const born = whileThere(() => bornOf(xid))
    if (born !== undefined) this.#records.settle(xid, born)
  }

  vx_migrate(xid: number, data: MigrateData): Promise<Migrated> {
    return this.#entrances.migrate(xid, data)
  }

  async vx_flags_set(xid: number, data: FlagsData): Promise<void> {
    // The kernel changes flags without a lock: a change beside the one that ends the setup could bring the setup back.
    await this.#entrances.settled(xid)
    const change = () => {
      ask(xid, () => {
        vserver.setCflags(xid, data.flags, data.mask)
      })
    }
    if (data.mask & PERSISTENT) await this.#lives.changePersistence(xid, (data.flags & PERSISTENT) !== 0n, change)
    else change()
  }

  async vx_kill(xid: number, pid: number, signal: number): Promise<void> {
    await this.#lives.entered(xid)
    ask(
      xid,
      () => {
        vserver.ctxKill(xid, pid, signal)
      },
      `context ${xid} is not there, or has no process for pid ${pid}`
    )
  }

  async vx_wait(xid: number, signal: AbortSignal): Promise<WaitResult> {
    // A context that has just died is gone, while the thread that knows how is about to tell.
    if (!this.#lives.isWatched(xid)) this.vx_info(xid)
    return this.#lives.wait(xid, signal)
  }

  incarnation(xid: number): bigint {
    return this.#records.incarnation(xid, bornOf(xid))
  }

  probe(): void {
    ask(undefined, () => vserver.getVersion())
    this.#listing.read()
  }

  list(): number[] {
    return this.#listing.xids()
  }

  /** By the record alone: no command is spent on it. */
  ownerOf(xid: number): number | null {
    return this.#records.ownerOf(xid)
  }

  details(xid: number, flags = this.vx_flags_get(xid).flags): ContextDetails {
    const [tasks, uptime] = ask(xid, () => [vserver.tasks(xid), vserver.uptime(xid)] as const)
    const { owner, root, created_at } = this.#records.of(xid, bornAt(uptime))
    // PERSISTENT holds a reference of its own.
    const populated = tasks > (flags & PERSISTENT ? 1 : 0)
    return { owner, root, created_at, populated, last_exit: this.#lastExits.of(xid) }
  }

  processes(xid: number): Promise<Process[]> {
    return this.#entrances.processes(xid)
  }

  /** Others may change a context, and guests their names, without a word to us. */
  revision(): undefined {
    return undefined
  }

  async close(): Promise<void> {
    this.#helperCalls.close()
    await this.#lives.close()
    this.#entrances.close()
    this.#records.close()
  }
}

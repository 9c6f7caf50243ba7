/** Talks to one launcher (native/launcher): sends what it shall become, hears what became of it. */
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { WORD_MAX } from '../vocabulary/word.js'
import type { ProcessSpec } from './driver.js'
import { CallError, withErrno } from './errors.js'
import { errnoName, launcherPath, native, protocol, type Zygote } from './native.js'

export interface LauncherSpec {
  mode: 'probe' | 'init' | 'reaper' | 'exec' | 'vs_create' | 'vs_enter' | 'vs_list'
  process?: ProcessSpec | undefined
  bcaps?: bigint
  root?: string | null
  nodename?: string | undefined
  domainname?: string | undefined
  pokeReaper?: boolean
  /** Where the forks of the context are counted. */
  forkSlot?: number | undefined
  xid?: number
  /** Of ctx_create or ctx_migrate. */
  word?: bigint
  /** CLONE_* of the namespaces that a context has of its own. */
  spaces?: bigint
  /** Files of lxcfs for the guest's /proc. */
  lxcfs?: readonly string[]
  /** Of IGNEG_NICE. */
  ignoreNice?: boolean
  /** STATE_* to be cleared before the exec. */
  clears?: bigint
  /** INFO_PRIVATE is set. */
  isPrivate?: boolean
  capture?: { limit: number; stdin?: string } | undefined
  /** Whose log has what the process writes; without it, or with capture, none. */
  log?: { xid: number; incarnation: bigint }
  timeoutMs?: number | undefined
  /** As in MigrateData. Not for shims of an earlier version. */
  startDelayMs?: number | undefined
}

/** Where launchers write logs: LOG_FD of native/launcher/spec.h, and the fields that go with it. */
export interface LogTarget {
  fd: number
  fieldsOf: (log: { xid: number; incarnation: bigint }) => Record<string, string | number>
}

/** Descriptors that go with an order, -1 for none: order_fds of native/launcher/spec.h. */
interface Descriptors {
  cgroup: number
  pid1: number
  log: number
}

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

/** As native/launcher/oom.h has it, in frames and attributes. */
export function parseEnd(status: string, oom = ''): End {
  return { status: Number(status), oomKilled: oom === '1' ? true : oom === '0' ? false : null }
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

const U32 = 4

/** Both ends are on this machine, so numbers have its byte order. */
const isLittle = endianness() === 'LE'
const readU32 = (data: Buffer, at: number) => (isLittle ? data.readUInt32LE(at) : data.readUInt32BE(at))
const writeU32 = (data: Buffer, value: number, at: number) =>
  isLittle ? data.writeUInt32LE(value, at) : data.writeUInt32BE(value, at)

/** SpecHeader and "key=value\0" fields, then stdin: native/launcher/spec.h. */
function encode(spec: LauncherSpec, log: Record<string, string | number>, descriptors: Descriptors): Buffer {
  let text = `mode=${spec.mode}\0`
  const add = (key: string, value: string | number | null | undefined) => {
    if (value !== undefined && value !== null) text += `${key}=${value}\0`
  }
  if (spec.process) {
    for (const arg of spec.process.argv) add('argv', arg)
    for (const [name, value] of Object.entries(spec.process.env)) add('env', `${name}=${value}`)
    add('cwd', spec.process.cwd)
    add('uid', spec.process.uid)
    add('gid', spec.process.gid)
    for (const group of spec.process.groups) add('group', group)
  }
  add('root', spec.root)
  add('nodename', spec.nodename)
  add('domainname', spec.domainname)
  if (spec.pokeReaper) add('poke_reaper', 1)
  add('fork_slot', spec.forkSlot)
  add('xid', spec.xid)
  for (const key of ['bcaps', 'word', 'spaces', 'clears'] as const) if (spec[key]) add(key, spec[key].toString(16)) // 0 without
  for (const file of spec.lxcfs ?? []) add('lxcfs', file)
  if (spec.ignoreNice) add('ignore_nice', 1)
  if (spec.isPrivate) add('private', 1)
  add('capture', spec.capture?.limit)
  add('timeout_ms', spec.timeoutMs)
  add('start_delay_ms', spec.startDelayMs)
  for (const [key, value] of Object.entries(log)) add(key, value)
  const stdin = spec.capture?.stdin ?? ''
  const [textSize, stdinSize] = [Buffer.byteLength(text), Buffer.byteLength(stdin)]
  const { cgroup, pid1, log: logFd } = descriptors
  const present = [cgroup, pid1, logFd].reduce((mask, fd, bit) => (fd < 0 ? mask : mask | (1 << bit)), 0)
  const header = [protocol, textSize, stdinSize, present]
  const order = Buffer.allocUnsafe(header.length * U32 + textSize + stdinSize)
  for (const [i, value] of header.entries()) writeU32(order, value, i * U32)
  order.write(text, header.length * U32)
  order.write(stdin, header.length * U32 + textSize)
  return order
}

/** What a launcher gets ready for before it has its order: Kind of native/launcher/spec.h. */
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

/** A launcher that is ready for an order of at most these bcaps. */
interface Spare {
  launch: Launch
  bcaps: bigint
}

/** Makes launchers. One of each kind is always ready for its order. */
export class Launchers {
  readonly #files = native.prepareLauncher(launcherPath)
  #zygote: Zygote
  readonly #spares = new Map<Kind, Spare>()
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
   * @param cgroup directory of the context's cgroup, where it has one
   * @param pid1 pidfd of its PID 1, for mode exec
   * @throws CallError when the launcher cannot be started
   */
  start(spec: LauncherSpec, cgroup?: string, pid1 = -1): Launch {
    if (cgroup === undefined) return this.#start(spec, -1, -1)
    const directory = withErrno('open', cgroup, () => openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY))
    try {
      return this.#start(spec, directory, pid1)
    } finally {
      closeSync(directory)
    }
  }

  #start(spec: LauncherSpec, cgroup: number, pid1: number): Launch {
    const order = this.#order(spec, cgroup, pid1)
    const kind = kinds[spec.mode]
    const bcaps = spec.bcaps ?? WORD_MAX
    const spare = this.#takeSpare(kind, bcaps)
    const launch = spare?.tryBegin(order) ? spare : this.#fork(kind, bcaps)
    try {
      if (launch !== spare) launch.begin(order)
    } catch (error) {
      launch.release()
      throw error
    }
    // While this one works; the caller goes first. The next order is most likely one like this.
    setImmediate(() => {
      this.prepare(kind, bcaps)
    })
    return launch
  }

  #takeSpare(kind: Kind, bcaps: bigint): Launch | undefined {
    const spare = this.#spares.get(kind)
    this.#spares.delete(kind)
    if (!spare || (bcaps & ~spare.bcaps) === 0n) return spare?.launch
    spare.launch.release()
    return undefined
  }

  #order(spec: LauncherSpec, cgroup: number, pid1: number): Order {
    const target = spec.capture || !spec.log ? undefined : this.log
    const descriptors = { cgroup, pid1, log: target?.fd ?? -1 }
    return { data: encode(spec, target && spec.log ? target.fieldsOf(spec.log) : {}, descriptors), descriptors }
  }

  /** A zygote that was killed is replaced. */
  #fork(kind: Kind, bcaps: bigint): Launch {
    try {
      return new Launch(native.forkLauncher(this.#zygote.socket, kind, bcaps))
    } catch (error) {
      if (!(error instanceof CallError && isGone(error))) throw error
      endZygote(this.#zygote)
      this.#zygote = this.#startZygote()
      return new Launch(native.forkLauncher(this.#zygote.socket, kind, bcaps))
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
    this.#spares.set(kind, { launch: this.#fork(kind, bcaps), bcaps })
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
    for (const { launch } of this.#spares.values()) launch.release()
    endZygote(this.#zygote)
    closeSync(this.#files.program)
    closeSync(this.#files.null)
  }
}

interface Order {
  data: Buffer
  descriptors: Descriptors
}

interface Settle {
  resolve: (pid: number) => void
  reject: (error: CallError) => void
}

const notOrdered = Promise.reject<number>(new Error('no order was given'))
notOrdered.catch(() => undefined)

/** What was read last, of whichever launcher: Node's own way takes 64 KiB of memory for each read, of a few bytes. */
const received = Buffer.allocUnsafe(65_536)

/** One launcher and its guest's process. */
export class Launch {
  /** Resolves when the guest's process has ended, undefined when the launcher had no exit to tell. */
  readonly ended: Promise<Exit | undefined>
  /** Host pid of the guest's process, once its exec has succeeded. */
  started = notOrdered
  /** What runs, as a shim tells a daemon that has come to it; undefined when it ended before. */
  readonly admitted: Promise<Pid1 | undefined>
  stdout: Buffer = Buffer.alloc(0)
  stderr: Buffer = Buffer.alloc(0)

  readonly #fd: number
  readonly #socket: Socket
  #pending: Buffer = Buffer.alloc(0)
  #finish: (exit: Exit | undefined) => void = () => undefined
  #admit: (pid1: Pid1 | undefined) => void = () => undefined
  #waiting: Settle[] = []

  /** @param socket our end of the launcher's */
  constructor(socket: number) {
    this.#fd = socket
    const options = {
      fd: socket,
      readable: true,
      writable: true,
      onread: { buffer: received, callback: this.#received }
    }
    this.#socket = new Socket(options)
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.admitted = new Promise((resolve) => {
      this.#admit = resolve
    })
    this.#socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new CallError('ESRCH', 'waitpid', 'the launcher ended before the command was started'))
      this.#finish(undefined)
      this.#admit(undefined)
    })
    // A launcher that is killed resets the connection; 'close' follows and says all there is to say.
    this.#socket.on('error', () => undefined)
  }

  /** Gives the order. @throws CallError EPIPE when the launcher is gone */
  begin(order: Order): void {
    this.started = this.#order(order)
    this.started.catch(() => undefined) // whoever cares waits for it
  }

  /** Gives the order to a launcher that was started long ago; false when it is gone. */
  tryBegin(order: Order): boolean {
    try {
      this.begin(order)
      return true
    } catch (error) {
      if (error instanceof CallError && isGone(error)) return false
      throw error
    }
  }

  /** Asks a reaper's shim to become this init. Resolves with its host pid. */
  becomeInit(spec: LauncherSpec): Promise<number> {
    const descriptors = { cgroup: -1, pid1: -1, log: -1 }
    return this.#order({ data: encode(spec, {}, descriptors), descriptors })
  }

  /** Lets go of the launcher without ending it. */
  release(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #order({ data, descriptors: { cgroup, pid1, log } }: Order): Promise<number> {
    // After 'close' the number may be another file's already.
    if (this.#socket.destroyed) throw new CallError('EPIPE', 'sendmsg', 'the launcher is gone')
    native.sendOrder(this.#fd, data, cgroup, pid1, log)
    return new Promise<number>((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  readonly #received = (size: number): boolean => {
    this.#read(Buffer.from(received.subarray(0, size)))
    return true
  }

  #read(data: Buffer): void {
    this.#pending = this.#pending.length > 0 ? Buffer.concat([this.#pending, data]) : data
    while (this.#pending.length >= 2 * U32) {
      const size = readU32(this.#pending, U32)
      if (this.#pending.length < 2 * U32 + size) return
      const type = String.fromCharCode(readU32(this.#pending, 0))
      this.#frame(type, this.#pending.subarray(2 * U32, 2 * U32 + size))
      this.#pending = this.#pending.subarray(2 * U32 + size)
    }
  }

  #frame(type: string, payload: Buffer): void {
    if (type === 'O') this.stdout = payload
    else if (type === 'R') this.stderr = payload
    else if (type === 'A') this.#admit(parsePid1(payload.toString()))
    else if (type === 'S') this.#waiting.shift()?.resolve(Number(payload.toString()))
    else if (type === 'E') {
      const [, errno = '', call = '', detail = ''] = /^(\d+) (\S+) (.*)$/s.exec(payload.toString()) ?? []
      this.#waiting.shift()?.reject(new CallError(errnoName(Number(errno)), call, detail))
    } else if (type === 'X') {
      const [status = '', timedOut, truncated, oom] = payload.toString().split(' ')
      const { status: word, oomKilled } = parseEnd(status, oom)
      const exit = { status: word, oomKilled, timedOut: timedOut === '1', truncated: truncated === '1' }
      // A reaper's own end, -1, is no exit of a guest's process.
      this.#finish(word < 0 ? undefined : exit)
      // Its last word. The way over the end of its stream, which is ours to end then, takes much longer.
      this.#socket.destroy()
    }
  }
}

const isGone = ({ code }: CallError) => ['EPIPE', 'ECONNRESET', 'ECONNREFUSED', 'EBADF'].includes(code)

function endZygote({ pid, socket }: Zygote): void {
  closeSync(socket)
  void reap(pid)
}

/** The zygote ends when it sees that its socket is closed, a moment later. */
async function reap(pid: number): Promise<void> {
  for (let delay = 1; !native.reap(pid); delay = Math.min(delay * 2, 1000))
    await sleep(delay, undefined, { ref: false })
}

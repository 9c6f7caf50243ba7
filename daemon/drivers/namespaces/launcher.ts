/** Talks to one launcher (native/launcher): sends what it shall become, hears what became of it. */
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSpec } from '../driver.js'
import { CallError } from '../errors.js'
import { errnoName, launcherPath, native } from '../native.js'
import { withErrno } from './cgroups.js'

export interface LauncherSpec {
  mode: 'probe' | 'init' | 'reaper' | 'exec'
  process?: ProcessSpec
  bcaps?: bigint
  root?: string | null
  nodename?: string | undefined
  domainname?: string | undefined
  pokeReaper?: boolean
  capture?: { limit: number; stdin?: string } | undefined
  timeoutMs?: number | undefined
}

export interface Exit {
  status: number
  timedOut: boolean
  truncated: boolean
}

const U32 = 4

/** Both ends are on this machine, so numbers have its byte order. */
const readU32 = (data: Buffer, at: number) => (endianness() === 'LE' ? data.readUInt32LE(at) : data.readUInt32BE(at))

/** {u32 size, u32 stdin size} and "key=value\0" fields, then stdin: native/launcher/spec.h. */
function encode(spec: LauncherSpec): Buffer {
  const fields: string[] = [`mode=${spec.mode}`]
  const add = (key: string, value: string | number | null | undefined) => {
    if (value !== undefined && value !== null) fields.push(`${key}=${value}`)
  }
  if (spec.process) {
    for (const arg of spec.process.argv) add('argv', arg)
    for (const [name, value] of Object.entries(spec.process.env)) add('env', `${name}=${value}`)
    add('cwd', spec.process.cwd)
    add('uid', spec.process.uid)
    add('gid', spec.process.gid)
    for (const group of spec.process.groups) add('group', group)
  }
  add('bcaps', spec.bcaps?.toString(16))
  add('root', spec.root)
  add('nodename', spec.nodename)
  add('domainname', spec.domainname)
  if (spec.pokeReaper) add('poke_reaper', 1)
  add('capture', spec.capture?.limit)
  add('timeout_ms', spec.timeoutMs)
  const text = Buffer.from(fields.join('\0') + '\0')
  const stdin = Buffer.from(spec.capture?.stdin ?? '')
  const header = Buffer.from(new Uint32Array([text.length, stdin.length]).buffer)
  return Buffer.concat([header, text, stdin])
}

type Kind = 'shim' | 'exec'

const kindOf = ({ mode }: LauncherSpec): Kind => (mode === 'exec' ? 'exec' : 'shim')

/** Makes launchers. One of each kind is always ready for its order. */
export class Launchers {
  readonly #files = native.prepareLauncher(launcherPath)
  #zygote = native.startZygote(this.#files.program, this.#files.null)
  readonly #spares = new Map<Kind, Launch>()
  #closed = false

  /**
   * @param cgroup directory of the context's cgroup
   * @param pid1 pidfd of its PID 1, for mode exec
   * @throws CallError when the launcher cannot be started
   */
  start(spec: LauncherSpec, cgroup: string, pid1 = -1): Launch {
    const directory = withErrno('open', cgroup, () => openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY))
    const kind = kindOf(spec)
    try {
      const spare = this.#spares.get(kind)
      this.#spares.delete(kind)
      const launch = spare?.tryBegin(spec, directory, pid1) ? spare : this.#fork(kind)
      if (launch !== spare) launch.begin(spec, directory, pid1)
      // While this one works; the caller goes first.
      setImmediate(() => {
        this.prepare(kind)
      })
      return launch
    } finally {
      closeSync(directory)
    }
  }

  /** A zygote that was killed is replaced. */
  #fork(kind: Kind): Launch {
    try {
      return new Launch(native.forkLauncher(this.#zygote.socket, kind))
    } catch (error) {
      if (!(error instanceof CallError && isGone(error))) throw error
      this.#endZygote()
      this.#zygote = native.startZygote(this.#files.program, this.#files.null)
      return new Launch(native.forkLauncher(this.#zygote.socket, kind))
    }
  }

  #endZygote(): void {
    closeSync(this.#zygote.socket)
    void reap(this.#zygote.pid)
  }

  /** Gets a launcher ready, if none is. */
  prepare(kind: Kind): void {
    if (this.#closed || this.#spares.has(kind)) return
    try {
      this.#spares.set(kind, this.#fork(kind))
    } catch {
      // The next start tries again, and has somebody to tell.
    }
  }

  close(): void {
    this.#closed = true
    for (const spare of this.#spares.values()) spare.release()
    this.#endZygote()
    closeSync(this.#files.program)
    closeSync(this.#files.null)
  }
}

interface Settle {
  resolve: (pid: number) => void
  reject: (error: CallError) => void
}

const notOrdered = Promise.reject<number>(new Error('no order was given'))
notOrdered.catch(() => undefined)

/** One launcher and its guest's process. */
export class Launch {
  /** Resolves when the guest's process has ended, undefined when the launcher had no exit to tell. */
  readonly ended: Promise<Exit | undefined>
  /** Host pid of the guest's process, once its exec has succeeded. */
  started = notOrdered
  stdout: Buffer = Buffer.alloc(0)
  stderr: Buffer = Buffer.alloc(0)

  readonly #fd: number
  readonly #socket: Socket
  #pending: Buffer = Buffer.alloc(0)
  #finish: (exit: Exit | undefined) => void = () => undefined
  #waiting: Settle[] = []

  /** @param socket our end of the launcher's */
  constructor(socket: number) {
    this.#fd = socket
    this.#socket = new Socket({ fd: socket, readable: true, writable: true })
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0))
        reject(new CallError('ESRCH', 'waitpid', 'the launcher ended before the command was started'))
      this.#finish(undefined)
    })
    this.#socket.on('data', (data) => {
      this.#read(data)
    })
    // A launcher that is killed resets the connection; 'close' follows and says all there is to say.
    this.#socket.on('error', () => undefined)
  }

  /** Gives the order. @throws CallError EPIPE when the launcher is gone */
  begin(spec: LauncherSpec, cgroup: number, pid1: number): void {
    this.started = this.#order(spec, cgroup, pid1)
    this.started.catch(() => undefined) // whoever cares waits for it
  }

  /** Gives the order to a launcher that was started long ago; false when it is gone. */
  tryBegin(spec: LauncherSpec, cgroup: number, pid1: number): boolean {
    try {
      this.begin(spec, cgroup, pid1)
      return true
    } catch (error) {
      if (error instanceof CallError && isGone(error)) return false
      throw error
    }
  }

  /** Asks a reaper's shim to become this init. Resolves with its host pid. */
  becomeInit(spec: LauncherSpec): Promise<number> {
    return this.#order(spec, -1, -1)
  }

  /** Lets go of the launcher without ending it. */
  release(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #order(spec: LauncherSpec, cgroup: number, pid1: number): Promise<number> {
    // After 'close' the number may be another file's already.
    if (this.#socket.destroyed) throw new CallError('EPIPE', 'sendmsg', 'the launcher is gone')
    native.sendOrder(this.#fd, encode(spec), cgroup, pid1)
    return new Promise<number>((resolve, reject) => this.#waiting.push({ resolve, reject }))
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
    else if (type === 'S') this.#waiting.shift()?.resolve(Number(payload.toString()))
    else if (type === 'E') {
      const [, errno = '', call = '', detail = ''] = /^(\d+) (\S+) (.*)$/s.exec(payload.toString()) ?? []
      this.#waiting.shift()?.reject(new CallError(errnoName(Number(errno)), call, detail))
    } else if (type === 'X') {
      const [status = 0, timedOut = 0, truncated = 0] = payload.toString().split(' ').map(Number)
      // A reaper's own end, -1, is no exit of a guest's process.
      this.#finish(status < 0 ? undefined : { status, timedOut: timedOut === 1, truncated: truncated === 1 })
    }
  }
}

const isGone = ({ code }: CallError) => ['EPIPE', 'ECONNRESET', 'ECONNREFUSED', 'EBADF'].includes(code)

/** The zygote ends when it sees that its socket is closed, a moment later. */
async function reap(pid: number): Promise<void> {
  for (let delay = 1; !native.reap(pid); delay = Math.min(delay * 2, 1000))
    await sleep(delay, undefined, { ref: false })
}

import { captureMemory, type Claim } from '../capture-memory.js'
import { CallError } from '../errors.js'
import { errnoName, type FrameType } from '../native.js'
import type { Line, Listener } from './line.js'
import { encode, type LauncherSpec, type Order } from './order.js'
import { parseExit, parsePid1, type Exit, type Pid1 } from './report.js'

interface Settle {
  resolve: (pid: number) => void
  reject: (error: CallError) => void
}

const notOrdered = Promise.reject<number>(new Error('no order was given'))
notOrdered.catch(() => undefined)

const nothing: Buffer = Buffer.alloc(0)

/** One order of a launcher, and the guest's process that comes of it. */
export class Launch implements Listener {
  /** Resolves when the guest's process has ended, undefined when the launcher had no exit to tell. */
  readonly ended: Promise<Exit | undefined>
  /** Host pid of the guest's process, once its exec has succeeded. */
  started = notOrdered
  /** What runs, as a shim tells a daemon that has come to it; undefined when it ended before. */
  readonly admitted: Promise<Pid1 | undefined>
  /** Undefined until it has succeeded. */
  pid: number | undefined
  stdout = nothing
  stderr = nothing
  /** Is given the line of a launcher that takes another order. Without it the line is closed. */
  onFree: ((line: Line) => void) | undefined

  readonly #line: Line
  #claim: Claim | undefined
  #takesNext = false
  #finish: (exit: Exit | undefined) => void = () => undefined
  #admit: (pid1: Pid1 | undefined) => void = () => undefined
  #waiting: Settle[] = []

  constructor(line: Line) {
    this.#line = line
    line.listener = this
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.admitted = new Promise((resolve) => {
      this.#admit = resolve
    })
  }

  /** Gives the order. @throws CallError EPIPE when the launcher is gone */
  begin(order: Order): void {
    this.started = this.#order(order)
    this.started.catch(() => undefined) // whoever cares waits for it
  }

  /** Asks a reaper's shim to become this init. Resolves with its host pid. */
  becomeInit(spec: LauncherSpec): Promise<number> {
    const descriptors = { cgroup: -1, pid1: -1, log: -1 }
    return this.#order({ data: encode(spec, {}, descriptors), descriptors })
  }

  /** Lets go of the launcher without ending it. */
  release(): void {
    this.releaseOutput()
    this.#line.listener = undefined
    this.#line.close()
  }

  #order(order: Order): Promise<number> {
    // The number may be another file's already.
    if (!this.#line.isOpen) throw new CallError('EPIPE', 'sendmsg', 'the launcher is gone')
    this.#line.send(order)
    return new Promise<number>((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Called when the output is not needed any more. */
  readonly releaseOutput = (): void => {
    this.#claim?.release()
  }

  /** The launcher keeps its output until there is room for it here. */
  #claimRoom(bytes: number): void {
    this.#claim = captureMemory.claim(bytes, () => {
      this.#line.resume()
    })
    if (!this.#claim.isGranted) this.#line.pause()
  }

  /** Of the line. */
  onEnd(): void {
    this.releaseOutput() // what there is of it is of no use
    this.#over(undefined)
  }

  #over(exit: Exit | undefined): void {
    for (const { reject } of this.#waiting.splice(0))
      reject(new CallError('ESRCH', 'waitpid', 'the launcher ended before the command was started'))
    this.#finish(exit)
    this.#admit(undefined)
  }

  /** Of the line. */
  onFrame(type: FrameType, payload: string | Buffer): void {
    if (typeof payload !== 'string') this[type === 'O' ? 'stdout' : 'stderr'] = payload
    else if (type === 'B') this.#claimRoom(Number(payload))
    else if (type === 'A') this.#admit(parsePid1(payload))
    else if (type === 'S') {
      this.pid = Number(payload)
      this.#waiting.shift()?.resolve(this.pid)
    } else if (type === 'E') {
      const [, errno = '', call = '', detail = ''] = /^(\d+) (\S+) (.*)$/s.exec(payload) ?? []
      this.#waiting.shift()?.reject(new CallError(errnoName(Number(errno)), call, detail, true))
    } else if (type === 'N') this.#takesNext = true
    else if (type === 'X') {
      const exit = parseExit(payload)
      this.#line.listener = undefined
      // Otherwise this was its last word.
      if (this.#takesNext && this.onFree) this.onFree(this.#line)
      else this.#line.close()
      // A reaper's own end, -1, is no exit of a guest's process.
      this.#over(exit.status < 0 ? undefined : exit)
    }
  }
}

export const isGone = ({ code }: CallError) => ['EPIPE', 'ECONNRESET', 'ECONNREFUSED', 'EBADF'].includes(code)

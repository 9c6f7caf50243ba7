/** Talks to one launcher (native/launcher): sends what it shall become, hears what became of it. */
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSpec } from '../driver.js'
import { CallError } from '../errors.js'
import { errnoName, launcherPath, native } from '../native.js'

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

/** The sealed copy all launchers are started from; one for the life of the daemon. */
export class LauncherImage {
  readonly #fd = native.sealedCopy(launcherPath)

  /**
   * @param cgroup directory of the context's cgroup
   * @param pid1 pidfd of its PID 1, for mode exec
   * @throws CallError when the launcher cannot be started
   */
  start(spec: LauncherSpec, cgroup: string, pid1 = -1): Launch {
    const directory = openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      return new Launch(native.spawnLauncher(this.#fd, directory, pid1), spec)
    } finally {
      closeSync(directory)
    }
  }

  close(): void {
    closeSync(this.#fd)
  }
}

interface Settle {
  resolve: (pid: number) => void
  reject: (error: CallError) => void
}

export class Launch {
  /** Host pid of the guest's process, once its exec has succeeded. */
  readonly started: Promise<number>
  /** Resolves when the launcher is gone; undefined when it had no exit to tell. */
  readonly ended: Promise<Exit | undefined>
  stdout: Buffer = Buffer.alloc(0)
  stderr: Buffer = Buffer.alloc(0)

  readonly #pid: number
  readonly #socket: Socket
  #pending: Buffer = Buffer.alloc(0)
  #exit: Exit | undefined
  #waiting: Settle[] = []

  constructor({ pid, socket }: { pid: number; socket: number }, spec: LauncherSpec) {
    this.#pid = pid
    this.#socket = new Socket({ fd: socket, readable: true, writable: true })
    this.started = this.#order(spec)
    this.ended = new Promise((resolve) => {
      this.#socket.on('close', () => {
        for (const { reject } of this.#waiting.splice(0))
          reject(new CallError('ESRCH', 'waitpid', 'the launcher ended before the command was started'))
        void this.#reap()
        resolve(this.#exit)
      })
    })
    this.#socket.on('data', (data) => {
      this.#read(data)
    })
    // A launcher that is killed resets the connection; 'close' follows and says all there is to say.
    this.#socket.on('error', () => undefined)
  }

  /** Asks a reaper's shim to become this init. Resolves with its host pid. */
  becomeInit(spec: LauncherSpec): Promise<number> {
    return this.#order(spec)
  }

  /** Lets go of the launcher without ending it. */
  release(): void {
    this.#socket.removeAllListeners('close')
    this.#socket.destroy()
  }

  #order(spec: LauncherSpec): Promise<number> {
    const answer = new Promise<number>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    this.#socket.write(encode(spec))
    return answer
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
      this.#exit = { status, timedOut: timedOut === 1, truncated: truncated === 1 }
    }
  }

  /** The socket closes a moment before the process can be waited for. */
  async #reap(): Promise<void> {
    for (let delay = 1; !native.reap(this.#pid); delay = Math.min(delay * 2, 1000)) await sleep(delay)
  }
}

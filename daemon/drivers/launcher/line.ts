import { closeSync } from 'node:fs'
import { WORD_MAX } from '../../vocabulary/word.js'
import { native, type FrameType } from '../native.js'
import type { Order } from './order.js'

/** Hears of frames, and of the end of the launcher. */
export interface Listener {
  onFrame(type: FrameType, payload: string | Buffer): void
  onEnd(): void
}

/** By descriptor. */
const lines = new Map<number, Line>()

function listen(): void {
  native.listenToLines((fd, type, payload = '') => {
    const line = lines.get(fd)
    if (type !== undefined) line?.listener?.onFrame(type, payload)
    else line?.end()
  })
}
let isListening = false

/** The daemon's end of a launcher's socket. */
export class Line {
  listener: Listener | undefined
  #isOpen = true

  /**
   * @param fd is the line's from now on
   * @param bcaps the most that an order may give
   * @throws CallError when it cannot be polled (epoll_ctl(2))
   */
  constructor(
    readonly fd: number,
    readonly bcaps = WORD_MAX
  ) {
    if (!isListening) listen()
    isListening = true
    try {
      native.openLine(fd)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    lines.set(fd, this)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** @throws CallError EPIPE when the launcher is gone */
  send({ data, descriptors: { cgroup, pid1, log } }: Order): void {
    native.sendOrder(this.fd, data, cgroup, pid1, log)
  }

  pause(): void {
    if (this.#isOpen) native.pauseLine(this.fd)
  }

  resume(): void {
    if (this.#isOpen) native.resumeLine(this.fd)
  }

  /** The launcher has ended. */
  end(): void {
    this.close()
    this.listener?.onEnd()
  }

  /** The launcher sees its end; what it still says is not heard. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    lines.delete(this.fd)
    native.closeLine(this.fd)
  }
}

/** Requests that no HTTP client sends, byte by byte. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import { until } from './poll.js'

/** A connection that does what no HTTP client would. It never closes its end by itself. */
export class Raw {
  text = ''
  ended = false
  readonly connected: Promise<unknown>
  readonly #socket: Socket

  constructor(t: Test, path: string, first: string | Buffer = '') {
    this.#socket = connect({ path, allowHalfOpen: true })
    this.connected = once(this.#socket, 'connect')
    this.#socket.setEncoding('utf8').on('data', (part: string) => (this.text += part))
    this.#socket.on('end', () => (this.ended = true))
    this.#socket.on('error', () => (this.ended = true)) // EPIPE, where the daemon has closed already
    if (first.length > 0) this.#socket.write(first)
    t.teardown(() => this.#socket.destroy())
  }

  write = (text: string) => this.#socket.write(text)

  /** Closes its half: it sends no more, and reads on. */
  halfClose = () => this.#socket.end()

  /** Closes both. */
  hangUp = () => this.#socket.destroy()

  /** The daemon has closed the connection. @returns all that came before */
  async closed(): Promise<string> {
    await until('the daemon closes it', () => this.ended)
    return this.text
  }
}

export interface RawAnswer {
  status: number
  head: string
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- problems of every shape
  body: any
}

/** One request as it is written here, and the answer to it, after which the daemon closes. */
export async function answerTo(t: Test, path: string, request: string | Buffer): Promise<RawAnswer> {
  const text = await new Raw(t, path, request).closed()
  const [head = '', body = ''] = text.split('\r\n\r\n')
  const isJson = body.startsWith('{')
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    head,
    body: isJson ? (JSON.parse(body) as unknown) : body
  }
}

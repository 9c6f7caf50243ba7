/** A reader of Server-Sent Events over a Unix socket. */
import { request, type IncomingMessage } from 'node:http'
import { until } from './poll.js'

export interface ServerEvent {
  id: string
  event: string
  data: { type: string; xid: number; request_id?: string; [field: string]: unknown }
}

export class EventReader {
  readonly events: ServerEvent[] = []
  /** The place that the last message named. */
  lastId = ''
  ended = false
  #text = ''

  private constructor(
    readonly response: IncomingMessage,
    readonly close: () => void
  ) {
    response.setEncoding('utf8').on('data', (text: string) => {
      this.#take(text)
    })
    response.once('close', () => {
      this.ended = true
    })
    response.on('error', () => undefined)
  }

  /** Resolves when the stream has begun, so that nothing that happens later is missed. */
  static async open(socketPath: string, path = '/events', headers: Record<string, string> = {}): Promise<EventReader> {
    const reader = await new Promise<EventReader>((resolve, reject) => {
      const call = request({ socketPath, path, headers, agent: false }, (response) => {
        if (response.statusCode === 200)
          resolve(
            new EventReader(response, () => {
              call.destroy()
            })
          )
        else reject(new Error(`GET ${path}: ${response.statusCode}`))
      })
      call.on('error', reject)
      call.end()
    })
    await until('the first message', () => reader.lastId)
    return reader
  }

  #take(text: string): void {
    const messages = (this.#text + text).split('\n\n')
    this.#text = messages.pop() ?? ''
    for (const message of messages) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(message)?.[1]
      this.lastId = field('id') ?? this.lastId
      const [event, data] = [field('event'), field('data')]
      if (event !== undefined && data !== undefined)
        this.events.push({ id: this.lastId, event, data: JSON.parse(data) as ServerEvent['data'] })
    }
  }

  get types(): string[] {
    return this.events.map(({ event }) => event)
  }

  /** Waits until there are so many. */
  async has(count: number): Promise<ServerEvent[]> {
    await until(`${count} events`, () => this.events.length >= count)
    return this.events
  }
}

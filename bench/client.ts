import { Pool } from 'undici'

type Method = 'GET' | 'POST' | 'PATCH'

/** The one client of all measurements: keep-alive connections to a Unix socket. */
export class Client {
  readonly #pool: Pool

  constructor(
    socketPath: string,
    private readonly stop: AbortSignal,
    readonly connections = 1
  ) {
    this.#pool = new Pool('http://bench', { socketPath, connections })
  }

  /** Resolves with the body; rejects when the status is not a success, and when the bench is to stop. */
  async send(method: Method, path: string, body?: unknown): Promise<string> {
    this.stop.throwIfAborted()
    const response = await this.#pool.request({
      method,
      path,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`)
    return text
  }

  async getJson<T>(path: string): Promise<T> {
    return JSON.parse(await this.send('GET', path)) as T
  }

  /** Sends the same request `count` times, one after the other; microseconds of each. */
  async timed(count: number, method: Method, path: string, body?: unknown): Promise<number[]> {
    const samples: number[] = []
    for (let i = 0; i < count; i++) {
      const start = performance.now()
      await this.send(method, path, body)
      samples.push((performance.now() - start) * 1000)
    }
    return samples
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

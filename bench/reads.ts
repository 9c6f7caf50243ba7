/** (a) Reads against a bare Fastify route that answers the same content by the same response schema. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BareOrder } from './bare.js'
import type { Measure } from './bench.js'
import { Client } from './client.js'
import { atLeast, type Row } from './report.js'
import { median, quantile } from './stats.js'

const ROUND_MS = 400
/** Of each side before its rounds, so that what runs then is compiled code. */
const WARM_UP_ROUNDS = 5
const CONNECTIONS = [1, 16]
const BUDGET = 0.75

/** One side of a comparison. */
class Load {
  readonly client: Client
  /** Requests, a number for each round. */
  perSecond: number[] = []
  /** Microseconds of single requests, all rounds. */
  latencies: number[] = []

  constructor(socket: string, stop: AbortSignal, connections: number) {
    this.client = new Client(socket, stop, connections)
  }

  /** Keeps every connection busy for a round. */
  async run(path: string): Promise<void> {
    const start = performance.now()
    let done = 0
    const one = async () => {
      for (let now = start; now - start < ROUND_MS; done++) {
        const sent = now
        await this.client.send('GET', path)
        now = performance.now()
        this.latencies.push((now - sent) * 1000)
      }
    }
    await Promise.all(Array.from({ length: this.client.connections }, one))
    this.perSecond.push((done * 1000) / (performance.now() - start))
  }

  forget(): void {
    this.perSecond = []
    this.latencies = []
  }

  toString(): string {
    const [middle, high] = [0.5, 0.9].map((p) => Math.round(quantile(this.latencies, p)))
    return `${Math.round(median(this.perSecond))}/s, ${middle} us, p90 ${high}`
  }
}

async function startBare(order: BareOrder) {
  const child = fork(fileURLToPath(new URL('bare.js', import.meta.url)))
  const exited = once(child, 'exit').then(() => Promise.reject(new Error('the bare Fastify ended')))
  exited.catch(() => undefined)
  child.send(order)
  await Promise.race([once(child, 'message'), exited])
  return child
}

export const reads: Measure = async ({ daemon, rounds, stop, progress }) => {
  const xid = 1000
  await daemon.post('/contexts', { xid, name: 'bench', flags: ['PERSISTENT'], uname: { nodename: 'bench' } })
  const urls = [`/contexts/${xid}/flags`, `/contexts/${xid}`] as const
  const socket = join(daemon.directory, 'bare.sock')
  const [flags, context] = await Promise.all(urls.map(async (url) => (await daemon.get(url)).body as object))
  const bare = await startBare({ socket, flags: flags ?? {}, context: context ?? {} })

  const rows: Row[] = []
  try {
    for (const url of urls) {
      for (const connections of CONNECTIONS) {
        const ours = new Load(daemon.socket, stop, connections)
        const theirs = new Load(socket, stop, connections)
        progress(`reads: ${url} at ${connections}`)
        for (const side of [ours, theirs]) {
          for (let round = 0; round < WARM_UP_ROUNDS; round++) await side.run(url)
          side.forget()
        }
        for (let round = 0; round < rounds; round++)
          for (const side of round % 2 ? [theirs, ours] : [ours, theirs]) await side.run(url)
        for (const { client } of [ours, theirs]) await client.close()
        const ratios = ours.perSecond.map((value, i) => value / (theirs.perSecond[i] ?? NaN))
        rows.push({
          what: `GET ${url.replace(String(xid), ':xid')} at ${connections}`,
          ours: String(ours),
          peer: String(theirs),
          ratios,
          budget: atLeast(median(ratios), BUDGET)
        })
      }
    }
  } finally {
    bare.kill()
  }
  return { title: 'reads at so many connections; peer: bare Fastify', rows }
}

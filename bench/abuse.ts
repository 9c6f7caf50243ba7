/** (f) What other clients notice of harmful ones, and of many readers of events. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { end } from '../test/support/command.js'
import type { Measure } from './bench.js'
import { Client } from './client.js'
import { atMost, times, type Row } from './report.js'
import { median, quantile } from './stats.js'

const xid = 1000
const SECONDS = 6
/** Between two requests of the client that is measured. */
const PACE_MS = 4
const P99_BUDGET_MS = 20
/** What V8 may keep for later. */
const RSS_BUDGET_MIB = 48
const COMES_BACK_MS = 15_000

const harmful = {
  slow: '500 slow heads',
  idle: '2,000 idle connections',
  body: 'bodies of 1 GB',
  random: '10,000 times random bytes'
}

const WRITES = 150
const READERS_BUDGET = 1.25

/** Clients in a process of their own, once they are there. */
export async function crowd(kind: string, socket: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('crowd.js', import.meta.url)), [kind, socket])
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`the clients (${kind}) ended`)))
  ended.catch(() => undefined)
  await Promise.race([once(child, 'message'), ended])
  return child
}

const rssMiB = (pid: number) =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

export const abuse: Measure = async ({ daemon, rounds, stop, progress }) => {
  const rows: Row[] = []
  const client = new Client(daemon.socket, stop)
  await client.send('POST', '/contexts', { xid, name: 'bench' })
  await client.timed(2000, 'GET', `/contexts/${xid}`)

  /** Microseconds of requests at a steady pace, by turns over an old connection and a new one. */
  const served = async (isOver: () => boolean): Promise<number[]> => {
    const samples: number[] = []
    const end = performance.now() + SECONDS * 1000
    while (performance.now() < end && !isOver()) {
      const fresh = new Client(daemon.socket, stop)
      for (const one of [client, fresh]) {
        samples.push(...(await one.timed(1, 'GET', `/contexts/${xid}`)))
        await sleep(PACE_MS)
      }
      await fresh.close()
    }
    return samples
  }

  try {
    progress('abuse: nobody else')
    const alone = await served(() => false)
    rows.push({ what: 'GET, nobody else', ours: `${times([alone])}, p99 ${(quantile(alone, 0.99) / 1000).toFixed(2)}` })
    const before = rssMiB(daemon.pid)
    for (const [kind, what] of Object.entries(harmful)) {
      progress(`abuse: ${what}`)
      const others = await crowd(kind, daemon.socket)
      const samples = await served(() => others.exitCode !== null)
      await end(others)
      const p99 = quantile(samples, 0.99) / 1000
      rows.push({
        what: `GET, ${what}`,
        ours: `${times([samples])}, p99 ${p99.toFixed(2)}`,
        budget: atMost(p99, P99_BUDGET_MS, ' ms')
      })
    }
    progress('abuse: memory comes back')
    const until = performance.now() + COMES_BACK_MS
    while (performance.now() < until && rssMiB(daemon.pid) > before + RSS_BUDGET_MIB) {
      await client.timed(500, 'GET', '/contexts')
      await sleep(500)
    }
    const more = rssMiB(daemon.pid) - before
    rows.push({
      what: "daemon's RSS, after all that",
      ours: `${before.toFixed(1)} + ${more.toFixed(1)} MiB`,
      budget: atMost(more, RSS_BUDGET_MIB, ' MiB more')
    })

    progress('abuse: writes with 500 readers of events')
    const write = async () => {
      const samples: number[] = []
      for (let count = 0; count < WRITES; count++) {
        const body = { nodename: `n${Math.random()}` }
        samples.push(...(await client.timed(1, 'PATCH', `/contexts/${xid}/uname`, body)))
        await sleep(PACE_MS)
      }
      return samples
    }
    const without: number[][] = []
    const among: number[][] = []
    await write()
    for (let round = 0; round < rounds; round++) {
      without.push(await write())
      const readers = await crowd('readers', daemon.socket)
      among.push(await write())
      await end(readers)
    }
    const ratios = among.map((samples, round) => median(samples) / median(without[round] ?? []))
    rows.push({
      what: 'PATCH with 500 readers of events; peer: without',
      ours: times(among),
      peer: times(without),
      ratios,
      budget: atMost(median(ratios), READERS_BUDGET)
    })
  } finally {
    await client.close()
  }
  return { title: 'other clients', rows }
}

/** (d) What the daemon and idle contexts hold, and how long a list of them takes. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { asks, type Measure } from './bench.js'
import { Client } from './client.js'
import { atMost, times, type Row } from './report.js'
import { median } from './stats.js'

const CONTEXTS = 1000
const READS = 20_000
const SETTLE_MS = 2000
const WARM_LISTS = 50

const RSS_BUDGET_MIB = 90
const BUSY_RSS_BUDGET_MIB = 140
const CONTEXT_BUDGET_KIB = 400
/** For so many contexts. */
const LIST_BUDGETS_MS = [
  [CONTEXTS / 2, 10],
  [CONTEXTS, 15]
] as const
const RESTART_BUDGET_MS = 1000

/** A line of a /proc file, in KiB (proc(5)). */
function kib(path: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(path, 'utf8'))?.[1])
}
const rss = (pid: number) => kib(`/proc/${pid}/status`, 'VmRSS')
const pss = (pid: number) => kib(`/proc/${pid}/smaps_rollup`, 'Pss')
/** The shim is init's parent on the host. */
const shimOf = (pid: number) => Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const kibText = (value: number) => `${value.toFixed(1)} KiB`

export const memory: Measure = async (bench) => {
  const { daemon, stop, progress } = bench
  const client = new Client(daemon.socket, stop, 16)
  const rows: Row[] = []
  const addRss = (what: string, budget: number) => {
    const mib = rss(daemon.pid) / 1024
    rows.push({ what: `daemon's RSS ${what}`, ours: `${mib.toFixed(1)} MiB`, budget: atMost(mib, budget, ' MiB') })
  }
  const make = async (from: number, body: object) => {
    for (let xid = from; xid < from + CONTEXTS; xid++) await client.send('POST', '/contexts', { xid, ...body })
    await sleep(SETTLE_MS)
  }
  const lists = async (what: string) => {
    for (const [count, budget] of LIST_BUDGETS_MS) {
      const path = `/contexts?after=2999&limit=${count}`
      const [first = NaN] = await asks(bench, 1, 'GET', path)
      const warm = await asks(bench, WARM_LISTS, 'GET', path)
      const row = (which: string, times_: number[]): Row => ({
        what: `GET /contexts, ${count} ${what}, ${which}`,
        ours: times([times_]),
        budget: atMost(median(times_) / 1000, budget, ' ms')
      })
      rows.push(row('first', [first]), row('warm', warm))
    }
  }

  try {
    progress('memory: idle daemon')
    await sleep(SETTLE_MS)
    addRss('after the start', RSS_BUDGET_MIB)
    await client.send('POST', '/contexts', { xid: 1000, name: 'bench' })
    const some = async () => {
      for (let i = 0; i < READS / client.connections; i++)
        await client.send('GET', i % 2 ? '/contexts/1000' : '/contexts/1000/flags')
    }
    await Promise.all(Array.from({ length: client.connections }, some))
    await sleep(SETTLE_MS)
    addRss(`after ${READS} reads`, RSS_BUDGET_MIB)

    progress(`memory: ${CONTEXTS} contexts`)
    const atFirst = pss(daemon.pid)
    await make(3000, { init: { argv: ['/bin/sleep', '100000'] } })
    const inDaemon = (pss(daemon.pid) - atFirst) / CONTEXTS
    const { contexts } = await client.getJson<{ contexts: { initpid: number }[] }>('/contexts?after=2999')
    const inits = contexts.map(({ initpid }) => initpid)
    const inShim = mean(inits.map((pid) => pss(shimOf(pid))))
    const inGuest = mean(inits.map(pss))
    const all = inShim + inDaemon + inGuest
    rows.push({
      what: `PSS of each of ${CONTEXTS} idle contexts`,
      ours: kibText(all),
      peer: `shim ${inShim.toFixed(1)}, daemon ${inDaemon.toFixed(1)}, sleep ${inGuest.toFixed(1)}`,
      budget: atMost(all, CONTEXT_BUDGET_KIB, ' KiB')
    })
    addRss(`with ${CONTEXTS} contexts`, BUSY_RSS_BUDGET_MIB)

    progress('memory: lists')
    await lists('contexts')
    progress('memory: a new daemon finds them')
    await daemon.stop()
    const began = performance.now()
    await daemon.boot()
    const restart = performance.now() - began
    rows.push({
      what: `start of a daemon that finds ${CONTEXTS} contexts`,
      ours: `${restart.toFixed(0)} ms`,
      budget: atMost(restart, RESTART_BUDGET_MS, ' ms')
    })
    await lists('found again')
  } finally {
    await client.close()
  }
  return { title: 'memory and lists', rows }
}

/** (d) What the daemon and idle contexts hold, and how long a list of them takes. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Measure } from './bench.js'
import { Client } from './client.js'
import { atMost, times, type Row } from './report.js'
import { median } from './stats.js'

const CONTEXTS = 500
const READS = 20_000
const SETTLE_MS = 2000
const WARM_LISTS = 50

const RSS_BUDGET_MIB = 90
const CONTEXT_BUDGET_KIB = 600
const LIST_BUDGET_MS = 10

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

export const memory: Measure = async ({ daemon, stop, progress }) => {
  const client = new Client(daemon.socket, stop, 16)
  const rows: Row[] = []
  /** The budget is for an idle daemon, one without contexts. */
  const addRss = (what: string, isIdle: boolean) => {
    const mib = rss(daemon.pid) / 1024
    rows.push({
      what: `daemon's RSS ${what}`,
      ours: `${mib.toFixed(1)} MiB`,
      ...(isIdle && { budget: atMost(mib, RSS_BUDGET_MIB, ' MiB') })
    })
  }
  const make = async (from: number, body: object) => {
    for (let xid = from; xid < from + CONTEXTS; xid++) await client.send('POST', '/contexts', { xid, ...body })
    await sleep(SETTLE_MS)
  }
  const lists = async (what: string) => {
    const path = `/contexts?limit=${CONTEXTS}`
    const [first = NaN] = await client.timed(1, 'GET', path)
    const warm = await client.timed(WARM_LISTS, 'GET', path)
    rows.push({
      what: `GET /contexts, ${what}, first`,
      ours: times([[first]]),
      budget: atMost(first / 1000, LIST_BUDGET_MS, ' ms')
    })
    rows.push({
      what: `GET /contexts, ${what}, warm`,
      ours: times([warm]),
      budget: atMost(median(warm) / 1000, LIST_BUDGET_MS, ' ms')
    })
  }

  try {
    progress('memory: idle daemon')
    await sleep(SETTLE_MS)
    addRss('after the start', true)
    await client.send('POST', '/contexts', { xid: 1000, name: 'bench' })
    const some = async () => {
      for (let i = 0; i < READS / client.connections; i++)
        await client.send('GET', i % 2 ? '/contexts/1000' : '/contexts/1000/flags')
    }
    await Promise.all(Array.from({ length: client.connections }, some))
    await sleep(SETTLE_MS)
    addRss(`after ${READS} reads`, true)

    progress(`memory: ${CONTEXTS} contexts without init`)
    const atFirst = pss(daemon.pid)
    await make(2000, {})
    const without = pss(daemon.pid)
    rows.push({ what: 'PSS of a context without init', ours: kibText((without - atFirst) / CONTEXTS) })

    progress(`memory: ${CONTEXTS} contexts with init`)
    await make(3000, { init: { argv: ['/bin/sleep', '100000'] } })
    const inDaemon = (pss(daemon.pid) - without) / CONTEXTS
    const { contexts } = await client.getJson<{ contexts: { initpid: number }[] }>('/contexts?after=2999')
    const inits = contexts.map(({ initpid }) => initpid)
    const inShim = mean(inits.map((pid) => pss(shimOf(pid))))
    rows.push({
      what: 'PSS of an idle context, shim + daemon',
      ours: `${kibText(inShim + inDaemon)} (${inShim.toFixed(1)} + ${inDaemon.toFixed(1)})`,
      peer: `the guest's own init: ${kibText(mean(inits.map(pss)))}`,
      budget: atMost(inShim + inDaemon, CONTEXT_BUDGET_KIB, ' KiB')
    })
    addRss(`with ${2 * CONTEXTS} contexts`, false)

    progress('memory: lists')
    await lists(`${CONTEXTS} of ${2 * CONTEXTS}`)
    progress('memory: a new daemon finds them')
    await daemon.stop()
    await daemon.boot()
    await lists(`${CONTEXTS} found again`)
  } finally {
    await client.close()
  }
  return { title: 'memory and lists', rows }
}

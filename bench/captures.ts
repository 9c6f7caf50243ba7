/** (g) What other clients and the daemon's memory notice of much captured output. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { crowd } from './abuse.js'
import type { Measure } from './bench.js'
import { Client } from './client.js'
import { atMost, times } from './report.js'
import { quantile } from './stats.js'

/** Of the crowd "captures", which has it in its path. */
const xid = 1000
/** Between two requests of the client that is measured. */
const PACE_MS = 4
const P99_BUDGET_MS = 50
const MORE_BUDGET_MIB = 200

const mib = (pid: number, field: string) =>
  Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

export const captures: Measure = async ({ daemon, stop, progress }) => {
  const client = new Client(daemon.socket, stop)
  try {
    await client.send('POST', '/contexts', { xid, init: { argv: ['/bin/sleep', '100000'] } })
    await client.timed(2000, 'GET', `/contexts/${xid}`)
    progress('captures: 100 times 1 MiB NUL and 1 MiB 0xff')
    writeFileSync(`/proc/${daemon.pid}/clear_refs`, '5') // VmHWM is VmRSS again (proc(5))
    const before = mib(daemon.pid, 'VmRSS')
    const began = performance.now()
    const others = await crowd('captures', daemon.socket)
    const samples: number[] = []
    while (others.exitCode === null) {
      samples.push(...(await client.timed(1, 'GET', `/contexts/${xid}`)))
      await sleep(PACE_MS)
    }
    if (others.exitCode !== 0) throw new Error('a capture was not answered whole')
    const seconds = (performance.now() - began) / 1000
    const p99 = quantile(samples, 0.99) / 1000
    const more = mib(daemon.pid, 'VmHWM') - before
    return {
      title: 'captured output',
      rows: [
        {
          what: 'GET, 100 captures of 2 MiB',
          ours: `${times([samples])}, p99 ${p99.toFixed(2)}`,
          budget: atMost(p99, P99_BUDGET_MS, ' ms')
        },
        {
          what: "daemon's RSS at most, meanwhile",
          ours: `${before.toFixed(1)} + ${more.toFixed(1)} MiB`,
          budget: atMost(more, MORE_BUDGET_MIB, ' MiB more')
        },
        { what: 'all are answered after', ours: `${seconds.toFixed(1)} s` }
      ]
    }
  } finally {
    await client.close()
  }
}

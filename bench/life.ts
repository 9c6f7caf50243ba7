/** (b) One whole life of a context that runs a static `true`, against the kernel's own price and util-linux. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { floor, truePath, type Measure } from './bench.js'
import { Client } from './client.js'
import { atMost, times, type Row } from './report.js'
import { median, ratios } from './stats.js'

const TURNS = 200
/** So many that V8 has compiled the path, as in a daemon that has been up for a while. */
const WARM_UP_TURNS = 1500
const BUDGET = 3

export const life: Measure = async ({ daemon, rounds, stop, progress }) => {
  const client = new Client(daemon.socket, stop)
  const cgroup = join(daemon.cgroupRoot ?? '', 'floor')
  mkdirSync(cgroup)
  const body = { init: { argv: [truePath] } }
  const ours: number[][] = []
  const floors: number[][] = []
  const unshares: number[][] = []
  try {
    progress('life: warming up')
    await client.timed(WARM_UP_TURNS, 'POST', '/contexts?wait', body)
    for (let round = 0; round < rounds; round++) {
      progress(`life: round ${round + 1} of ${rounds}`)
      floors.push(await floor(stop, 'life', TURNS, cgroup, truePath))
      ours.push(await client.timed(TURNS, 'POST', '/contexts?wait', body))
      unshares.push(await floor(stop, 'run', TURNS, 'unshare', '-fpmuiC', '--mount-proc', truePath))
    }
  } finally {
    await client.close()
  }
  const row = (peer: string, theirs: number[][]): Row => ({
    what: 'POST /contexts?wait',
    ours: times(ours),
    peer: `${peer} ${times(theirs)}`,
    ratios: ratios(ours, theirs)
  })
  const toFloor = row('floor', floors)
  toFloor.budget = atMost(median(toFloor.ratios ?? []), BUDGET)
  return { title: 'life of a context: make, run true, wait, remove', rows: [toFloor, row('unshare', unshares)] }
}

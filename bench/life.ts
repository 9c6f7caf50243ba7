/** (b) One whole life of a context that runs a static `true`, against the kernel's own price and other tools. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { asks, floor, type Measure } from './bench.js'
import { Peers } from './peers.js'
import { atMost, times, type Row } from './report.js'
import { median, ratios } from './stats.js'

const TURNS = 200
/** So many that V8 has compiled the path, as in a daemon that has been up for a while. */
const WARM_UP_TURNS = 5000
const BUDGET = 2.5

/** Tools that make the same life. Slow ones have fewer turns. */
interface Peer {
  name: string
  command: string[] | undefined
  turns: number
  /** Ours by theirs at most. */
  budget?: number
}

export const life: Measure = async (bench) => {
  const { daemon, rounds, stop, progress } = bench
  const cgroup = join(daemon.cgroupRoot ?? '', 'floor')
  mkdirSync(cgroup)
  const peers = new Peers()
  const { truePath } = peers
  const body = { init: { argv: [truePath] } }
  const tools: Peer[] = [
    { name: 'unshare', command: ['unshare', '-fpmuiC', '--mount-proc', truePath], turns: TURNS },
    { name: 'bwrap', command: peers.bwrap(), turns: TURNS, budget: 1 },
    { name: 'runc run', command: peers.runcRun(), turns: TURNS / 10, budget: 1 / 8 }
  ]
  const ours: number[][] = []
  const floors: number[][] = []
  const theirs = new Map<Peer, number[][]>()
  try {
    progress('life: warming up')
    await asks(bench, WARM_UP_TURNS, 'POST', '/contexts?wait', body)
    for (let round = 0; round < rounds; round++) {
      progress(`life: round ${round + 1} of ${rounds}`)
      floors.push(await floor(stop, 'life', TURNS, cgroup, truePath))
      ours.push(await asks(bench, TURNS, 'POST', '/contexts?wait', body))
      for (const tool of tools) {
        if (!tool.command) continue
        const times = await floor(stop, 'run', tool.turns, ...tool.command)
        theirs.set(tool, [...(theirs.get(tool) ?? []), times])
      }
    }
  } finally {
    peers.close()
  }
  const row = (peer: string, measured: number[][], budget?: number): Row => {
    const toPeer = ratios(ours, measured)
    return {
      what: 'POST /contexts?wait',
      ours: times(ours),
      peer: `${peer} ${times(measured)}`,
      ratios: toPeer,
      ...(budget !== undefined && { budget: atMost(median(toPeer), budget) })
    }
  }
  const missing = tools.filter(({ command }) => !command).map(({ name }) => name)
  if (missing.length > 0) progress(`life: not installed: ${missing.join(', ')}`)
  return {
    title: 'life of a context: make, run true, wait, remove',
    rows: [
      row('floor', floors, BUDGET),
      ...[...theirs].map(([{ name, budget }, measured]) => row(name, measured, budget))
    ]
  }
}

/** (c) A captured `true` in a running context, against the kernel's own price and runc. */
import { join } from 'node:path'
import type { Context } from '../daemon/schemas/context.js'
import { expect } from '../test/support/guest.js'
import { asks, floor, type Measure } from './bench.js'
import { Peers } from './peers.js'
import { atMost, times, type Row } from './report.js'
import { median, ratios } from './stats.js'

const TURNS = 200
/** So many that V8 has compiled the path, as in a daemon that has been up for a while. */
const WARM_UP_TURNS = 1500
const BUDGET = 2.5
const RUNC_TURNS = 20
const RUNC_BUDGET = 1 / 5

export const exec: Measure = async (bench) => {
  const { daemon, rounds, stop, progress } = bench
  const [running, empty] = [1000, 1001]
  const init = { argv: ['/bin/sleep', '100000'] }
  const { initpid } = expect<Context>(201, await daemon.post('/contexts', { xid: running, init }))
  expect(201, await daemon.post('/contexts', { xid: empty }))
  const cgroup = join(daemon.cgroupRoot ?? '', 'contexts', String(running))
  const inRunning: number[][] = []
  const inEmpty: number[][] = []
  const floors: number[][] = []
  const runcs: number[][] = []
  const peers = new Peers()
  const { truePath } = peers
  const body = { argv: [truePath], capture: true }
  try {
    const runc = peers.runcExec()
    if (!runc) progress('exec: not installed: runc')
    progress('exec: warming up')
    await asks(bench, WARM_UP_TURNS, 'POST', `/contexts/${running}/processes`, body)
    for (let round = 0; round < rounds; round++) {
      progress(`exec: round ${round + 1} of ${rounds}`)
      floors.push(await floor(stop, 'exec', TURNS, cgroup, initpid, truePath))
      inRunning.push(await asks(bench, TURNS, 'POST', `/contexts/${running}/processes`, body))
      inEmpty.push(await asks(bench, TURNS, 'POST', `/contexts/${empty}/processes`, body))
      if (runc) runcs.push(await floor(stop, 'run', RUNC_TURNS, ...runc))
    }
  } finally {
    peers.close()
  }
  const toFloor = ratios(inRunning, floors)
  const toRunc = ratios(inRunning, runcs)
  const beside: Row = {
    what: 'in a context with an init',
    ours: times(inRunning),
    peer: `runc exec ${times(runcs)}`,
    ratios: toRunc,
    budget: atMost(median(toRunc), RUNC_BUDGET)
  }
  return {
    title: 'capture exec of true',
    rows: [
      {
        what: 'in a context with an init',
        ours: times(inRunning),
        peer: `floor ${times(floors)}`,
        ratios: toFloor,
        budget: atMost(median(toFloor), BUDGET)
      },
      ...(runcs.length > 0 ? [beside] : []),
      // No process, no namespaces: they are made for it.
      { what: 'in a context without a process', ours: times(inEmpty) }
    ]
  }
}

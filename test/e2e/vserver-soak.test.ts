/** Thousands of calls to the kernel leave the daemon as it was: memory, descriptors, threads. */
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { expect, type Guest, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { descriptorsOf, isIdle, needsRoot, statusField } from '../support/proc.js'

const WARM_UP = 2_000
const CALLS = 10_000
/** At once, so that the connections are few and stay open. */
const CLIENTS = 4
const BOUND_KIB = 8 << 10
/** At the memory, so many calls apart. */
const LOOKS = 5

let daemon: TestDaemon
t.before(async () => {
  // Events are kept up to a number. Here it is reached before the first look.
  if (!needsRoot().skip) daemon = await TestDaemon.start('vserver', { emulator: [], args: ['--event-history', '1024'] })
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

const rssKib = () => parseInt(statusField(daemon.pid, 'VmRSS') ?? '', 10)

/** The lowest of some readings: what is free is given back a moment later. */
async function settledRssKib(): Promise<number> {
  let lowest = rssKib()
  for (let round = 0; round < 10; round++) {
    await sleep(100)
    lowest = Math.min(lowest, rssKib())
  }
  return lowest
}

interface Call {
  method: string
  path: string
  body?: (n: number) => object
}

/** Every get and every set, each set really changing something. */
const calls: Call[] = [
  { method: 'GET', path: '/flags' },
  { method: 'PATCH', path: '/flags', body: (n) => ({ [n % 2 ? 'set' : 'clear']: ['VIRT_LOAD'] }) },
  { method: 'GET', path: '/bcaps' },
  { method: 'PATCH', path: '/bcaps', body: (n) => ({ [n % 2 ? 'set' : 'clear']: ['SYS_TIME'] }) },
  { method: 'GET', path: '/ccaps' },
  { method: 'PUT', path: '/ccaps', body: (n) => ({ names: n % 2 ? ['SET_UTSNAME'] : ['SYSLOG'] }) },
  { method: 'GET', path: '/uname' },
  { method: 'PUT', path: '/uname/nodename', body: (n) => ({ value: `node${n}` }) },
  { method: 'GET', path: '' },
  { method: 'GET', path: '/stat' },
  { method: 'GET', path: '/info' },
  { method: 'POST', path: '/kill', body: () => ({ signal: 0 }) }
]

void t.test(`${CALLS} calls leave memory, descriptors and threads as they were`, needsRoot(), async (t) => {
  const guests: Guest[] = []
  for (let client = 0; client < CLIENTS; client++)
    guests.push(await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }))

  const make = async (from: number, to: number) => {
    const one = async (client: number) => {
      const path = guests[client]?.path ?? ''
      for (let n = from + client; n < to; n += CLIENTS) {
        const round = Math.floor(n / CLIENTS)
        const call = calls[round % calls.length]
        if (!call) continue
        const body = call.body?.(Math.floor(round / calls.length))
        const { status, text } = await daemon.request(call.method, path + call.path, body)
        if (status !== 200 && status !== 204) throw new Error(`${call.method} ${path}${call.path}: ${status} ${text}`)
      }
    }
    await Promise.all(guests.map((_, client) => one(client)))
    await until('no launcher works', () => isIdle(daemon.pid))
  }

  await make(0, WARM_UP)
  const rss = await settledRssKib()
  const descriptors = descriptorsOf(daemon.pid)
  const threads = readdirSync(`/proc/${daemon.pid}/task`)
  await make(WARM_UP, CALLS)
  t.same(descriptorsOf(daemon.pid), descriptors)
  t.same(readdirSync(`/proc/${daemon.pid}/task`), threads)
  let grown = (await settledRssKib()) - rss
  // What leaks is there at each look and more of it every time; garbage and room in the heap come and go.
  for (let looks = 1; grown >= BOUND_KIB && looks < LOOKS; looks++) {
    await make(looks * CALLS, (looks + 1) * CALLS)
    grown = Math.min(grown, (await settledRssKib()) - rss)
  }
  t.ok(grown < BOUND_KIB, `VmRSS: ${grown} KiB more than after the first ${WARM_UP} calls`)
  t.comment(`VmRSS ${rss} KiB, then ${grown} KiB more`)
  for (const { path } of guests) expect(200, await daemon.get(path))
})

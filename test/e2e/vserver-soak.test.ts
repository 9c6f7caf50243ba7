/** Thousands of calls to the kernel leave the daemon as it was: memory, descriptors, threads. */
import { readdirSync } from 'node:fs'
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { expect, type Guest, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { descriptorsOf, isIdle, needsRoot, statusField } from '../support/proc.js'

const CALLS = 10_000
/** At once, so that the connections are few and stay open. */
const CLIENTS = 4
/** Between two looks at the memory. */
const STEP = 1_000
/** In which the heap must have been collected. */
const MOST_STEPS = 150
const BOUND_KIB = 8 << 10

let daemon: TestDaemon
t.before(async () => {
  // Events are kept up to a number. Here it is reached before the first look.
  if (!needsRoot().skip) daemon = await TestDaemon.start('vserver', { emulator: [], args: ['--event-history', '1024'] })
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

const rssKib = () => parseInt(statusField(daemon.pid, 'VmRSS') ?? '', 10)

/** How often the daemon's whole heap was collected. */
async function collections(): Promise<number> {
  const { text } = await daemon.get('/metrics')
  return Number(/^nodejs_gc_duration_seconds_count\{kind="major"\} (\d+)$/m.exec(text)?.[1] ?? 0)
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

  let made = 0
  const make = async (count: number) => {
    const [from, to] = [made, (made += count)]
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
  }

  /**
   * The lowest memory while CALLS are made, and until the whole heap has been collected twice: once to find what is
   * garbage, once more to have given it back. Between, the heap grows by whatever outlived a few requests, leak or not.
   */
  const lowestRssKib = async () => {
    const before = await collections()
    let lowest = Infinity
    for (let step = 0; step < CALLS / STEP || (await collections()) < before + 2; step++) {
      if (step === MOST_STEPS) throw new Error(`the heap was not collected within ${MOST_STEPS * STEP} calls`)
      await make(STEP)
      lowest = Math.min(lowest, rssKib())
    }
    return lowest
  }

  // The first memory is that of a start; what the first collections leave is what must not grow.
  await lowestRssKib()
  const rss = await lowestRssKib()
  await until('no launcher works', () => isIdle(daemon.pid, CLIENTS))
  const descriptors = descriptorsOf(daemon.pid)
  const threads = readdirSync(`/proc/${daemon.pid}/task`)
  const grown = (await lowestRssKib()) - rss
  t.same(descriptorsOf(daemon.pid), descriptors)
  t.same(readdirSync(`/proc/${daemon.pid}/task`), threads)
  t.ok(grown < BOUND_KIB, `VmRSS: ${grown} KiB more than before`)
  t.comment(`VmRSS ${rss} KiB, then ${grown} KiB more, after ${made} calls`)
  for (const { path } of guests) expect(200, await daemon.get(path))
})

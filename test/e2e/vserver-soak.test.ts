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
/** Of the process. What malloc and V8 keep at hand varies by some MiB. */
const RSS_BOUND_KIB = 8 << 10
/** Of the objects in the heap, compiled code among them, which vary by less than one. */
const HEAP_BOUND_KIB = 2 << 10
const collector = new URL('../support/collector.js', import.meta.url).href

let daemon: TestDaemon
t.before(async () => {
  if (needsRoot().skip) return
  // Events are kept up to a number. Here it is reached before the first look.
  const args = ['--event-history', '1024']
  const nodeOptions = ['--expose-gc', '--import', collector]
  daemon = await TestDaemon.start('vserver', { emulator: [], args, nodeOptions })
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

/** Has the whole heap collected. V8 does it by itself too, but when depends on the machine. */
async function collect(): Promise<void> {
  const collected = () => daemon.stderr.split('collected\n').length
  const before = collected()
  process.kill(daemon.pid, 'SIGUSR2')
  await until('the heap is collected', () => collected() > before)
}

async function heapKib(): Promise<number> {
  const { text } = await daemon.get('/metrics')
  return Math.round(Number(/^nodejs_heap_size_used_bytes (\d+)$/m.exec(text)?.[1]) / 1024)
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

  /** After CALLS, without garbage: the first collection finds it, the second is there to have given it back. */
  const memoryAfterCalls = async () => {
    await make(CALLS)
    await collect()
    await collect()
    return { rss: parseInt(statusField(daemon.pid, 'VmRSS') ?? '', 10), heap: await heapKib() }
  }

  // The first memory is that of a start; what the first collections leave is what must not grow.
  await memoryAfterCalls()
  const before = await memoryAfterCalls()
  await until('no launcher works', () => isIdle(daemon.pid, CLIENTS))
  const descriptors = descriptorsOf(daemon.pid)
  const threads = readdirSync(`/proc/${daemon.pid}/task`)
  const after = await memoryAfterCalls()
  t.same(descriptorsOf(daemon.pid), descriptors)
  t.same(readdirSync(`/proc/${daemon.pid}/task`), threads)
  t.ok(after.rss < before.rss + RSS_BOUND_KIB, `VmRSS: ${before.rss} KiB, then ${after.rss}`)
  t.ok(after.heap < before.heap + HEAP_BOUND_KIB, `heap: ${before.heap} KiB, then ${after.heap}`)
  for (const { path } of guests) expect(200, await daemon.get(path))
})

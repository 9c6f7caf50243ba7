/**
 * Clients do what they like, and the daemon is killed at any moment: the next one knows all that was answered, and
 * nothing is left of what was not. TORTURE_ROUNDS and TORTURE_SEED say how often, and from where on.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { isPopulated } from '../../daemon/drivers/namespaces/cgroups.js'
import type { Context } from '../../daemon/schemas/context.js'
import { TestDaemon, type Reply } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import {
  allPids,
  descendantsOf,
  heldNamespaces,
  identityOf,
  linksIn,
  mountsOf,
  processesOf,
  strangersAmong
} from '../support/leftovers.js'
import { Ledger } from '../support/ledger.js'
import { until } from '../support/poll.js'
import { descriptorsOf, isAlive, isIdle, needsRoot } from '../support/proc.js'
import { Random } from '../support/random.js'

const ROUNDS = Number(process.env.TORTURE_ROUNDS ?? 30)
const SEED = Number(process.env.TORTURE_SEED ?? Date.now() % 2 ** 31)
const CLIENTS = 20
const ROUND_MS = 2000
const xids = Array.from({ length: 40 }, (_, i) => 100 + i)
const sleeper = ['/bin/sleep', '1000']

/** A client of its own connection each time, so that none is left in the daemon. */
const send = (daemon: TestDaemon, method: string, path: string, body?: object): Promise<Reply> =>
  daemon.request(method, path, body, { headers: { connection: 'close' } })

type Act = (daemon: TestDaemon, ledger: Ledger, random: Random, xid: number) => Promise<void>

const create: Act = async (daemon, ledger, random, xid) => {
  const persistent = random.next() < 0.6
  const init = !persistent || random.next() < 0.5 ? { init: { argv: sleeper } } : {}
  const done = ledger.begin(xid, 'life')
  const { status } = await send(daemon, 'POST', '/contexts', { xid, flags: persistent ? ['PERSISTENT'] : [], ...init })
  done(status === 201 ? { exists: true, persistent, paused: false } : {})
}

const destroy: Act = async (daemon, ledger, random, xid) => {
  const done = ledger.begin(xid, 'life')
  const { status } = await send(daemon, 'DELETE', `/contexts/${xid}?grace=${random.of([0, 0.05, 10])}`)
  done(status === 204 || status === 404 ? { exists: false } : {})
}

const start: Act = async (daemon, ledger, random, xid) => {
  const flags = random.next() < 0.3 ? { flags: ['SET_INIT', 'SET_REAPER'] } : {}
  const done = ledger.begin(xid, 'start')
  const reply = await send(daemon, 'POST', `/contexts/${xid}/processes`, { argv: sleeper, ...flags })
  done(reply.status === 201 ? { pid: expect<{ pid: number }>(201, reply).pid } : {})
}

const capture: Act = async (daemon, ledger, random, xid) => {
  const done = ledger.begin(xid, 'start')
  const argv = ['/bin/sh', '-c', random.of(['true', 'sleep 0.05; echo out', 'sleep 0.01 & sleep 0.02'])]
  await send(daemon, 'POST', `/contexts/${xid}/processes`, { argv, capture: true })
  done({})
}

const kill: Act = async (daemon, ledger, random, xid) => {
  const done = ledger.begin(xid, 'kill')
  await send(daemon, 'POST', `/contexts/${xid}/kill`, { signal: random.of(['SIGKILL', 'SIGTERM']) })
  done({})
}

const pause: Act = async (daemon, ledger, random, xid) => {
  const paused = random.next() < 0.4
  const done = ledger.begin(xid, 'pause')
  const change = paused ? { set: ['SCHED_PAUSE'] } : { clear: ['SCHED_PAUSE'] }
  const { status } = await send(daemon, 'PATCH', `/contexts/${xid}/flags`, change)
  done(status === 200 ? { paused } : {})
}

const look: Act = async (daemon, _, random, xid) => {
  await send(daemon, 'GET', `/contexts/${xid}${random.of(['', '/stat', '/processes'])}`)
}

const acts: readonly Act[] = [create, create, create, start, start, capture, kill, pause, destroy, look]

/** Goes on until the daemon is gone. */
async function client(daemon: TestDaemon, ledger: Ledger, random: Random): Promise<void> {
  try {
    for (;;) await random.of(acts)(daemon, ledger, random, random.of(xids))
  } catch {
    // Hung up on, as everybody is when the daemon is killed.
  }
}

async function isAsTold(t: Test, daemon: TestDaemon, ledger: Ledger): Promise<void> {
  for (const [xid, { exists, paused, pids: started }] of ledger) {
    const reply = await send(daemon, 'GET', `/contexts/${xid}`)
    if (exists !== undefined)
      t.equal(reply.status, exists ? 200 : 404, `context ${xid} ${exists ? 'exists' : 'is gone'}`)
    if (!exists) continue
    const { flags } = expect<Context>(200, reply)
    if (paused !== undefined) t.equal(flags.names.includes('SCHED_PAUSE'), paused, `${xid} is paused: ${paused}`)
    if (started.size === 0) continue
    const listed = expect<{ processes: { pid: number }[] }>(
      200,
      await send(daemon, 'GET', `/contexts/${xid}/processes`)
    ).processes.map(({ pid }) => pid)
    for (const pid of started) t.ok(isAlive(pid) && listed.includes(pid), `process ${pid} of context ${xid} runs`)
  }
}

async function allContexts(daemon: TestDaemon): Promise<Context[]> {
  return expect<{ contexts: Context[] }>(200, await send(daemon, 'GET', '/contexts')).contexts
}

/** State and kernel agree, and every context can be worked with. */
async function isUsable(t: Test, daemon: TestDaemon): Promise<void> {
  const contexts = join(daemon.cgroupRoot ?? '', 'contexts')
  const wrong = async () =>
    (await allContexts(daemon)).filter(
      // A reaper whose context was paused before the first process came is there, and nothing of the guest.
      ({ xid, state }) =>
        state !== 'setup' && ['running', 'paused'].includes(state) !== isPopulated(join(contexts, String(xid)))
    )
  await until('states are what the kernel says', async () => (await wrong()).length === 0).catch(async () => {
    t.same(await wrong(), [], 'states are what the kernel says')
  })
  const tried = (await allContexts(daemon)).map(async ({ xid, flags, initpid }) => {
    if (flags.names.includes('SCHED_PAUSE'))
      expect(200, await send(daemon, 'PATCH', `/contexts/${xid}/flags`, { clear: ['SCHED_PAUSE'] }))
    const path = `/contexts/${xid}/processes`
    t.match(await send(daemon, 'POST', path, { argv: ['echo', 'works'], capture: true }), {
      status: 200,
      body: { exit_code: 0, stdout: 'works\n' }
    })
    if (initpid === 0)
      t.match(await send(daemon, 'POST', path, { argv: sleeper, flags: ['SET_INIT'] }), { status: 201 }, `${xid}`)
  })
  await Promise.all(tried)
}

/** Of what was there before, the daemon's own processes apart, nothing is. */
async function isClean(t: Test, daemon: TestDaemon, before: Set<string>, descriptors: number): Promise<void> {
  for (const identity of processesOf(daemon).map(identityOf)) if (identity) before.add(identity)
  const gone = await Promise.all(
    (await allContexts(daemon)).map(({ xid }) => send(daemon, 'DELETE', `/contexts/${xid}?grace=0`))
  )
  for (const { status, text } of gone) t.equal(status, 204, text)
  const directories = readdirSync(join(daemon.cgroupRoot ?? '', 'contexts'), { withFileTypes: true })
  t.same(
    directories.filter((entry) => entry.isDirectory()).map(({ name }) => name),
    [],
    'no cgroup is left'
  )
  const left = () =>
    strangersAmong(
      allPids().filter((pid) => before.has(identityOf(pid) ?? '')),
      daemon.pid
    )
  await until('no process is left', () => left().length === 0).catch((error: unknown) => {
    t.same(left(), [], String(error))
  })
  await until('the zygote has nothing but launchers to be', () => isIdle(daemon.pid))
  const holders = () => strangersAmong(processesOf(daemon), daemon.pid)
  await until('nobody holds a cgroup', () => holders().length === 0).catch((error: unknown) => {
    t.same(holders(), [], String(error))
  })
  t.same(mountsOf(daemon), [], 'no mount is left')
  // With the processes gone, only descriptors and mounts could keep their namespaces.
  t.same([daemon.pid, ...descendantsOf(daemon.pid)].flatMap(heldNamespaces), [], 'no namespace is left')
  await until('no descriptor is left', () => descriptorsOf(daemon.pid).length <= descriptors).catch(
    (error: unknown) => {
      t.same(linksIn(`/proc/${daemon.pid}/fd`), [], String(error))
    }
  )
  t.notMatch(daemon.stderr, /"level":"(error|fatal)"|Warning/, 'the daemon had nothing to complain of')
}

void t.test(`${ROUNDS} times a daemon is killed while ${CLIENTS} clients are at it`, needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  await until('launchers are ready', () => isIdle(daemon.pid))
  const descriptors = descriptorsOf(daemon.pid).length + 1 // that of our own request
  for (let round = 0; round < ROUNDS; round++) {
    const seed = (SEED + round) % 2 ** 31
    await t.test(`TORTURE_SEED=${seed}`, async (t) => {
      daemon.stderr = ''
      const random = new Random(seed)
      const ledger = new Ledger()
      const clients = Array.from({ length: CLIENTS }, () => client(daemon, ledger, new Random(random.below(2 ** 31))))
      await sleep(random.below(ROUND_MS))
      const launchers = new Set(descendantsOf(daemon.pid).flatMap((pid) => identityOf(pid) ?? []))
      await daemon.stop('SIGKILL')
      await Promise.all(clients)
      await daemon.boot()
      await isAsTold(t, daemon, ledger)
      await isUsable(t, daemon)
      await isClean(t, daemon, launchers, descriptors)
    })
  }
})
t.setTimeout(ROUNDS * 60_000)

/**
 * A daemon is killed at each single step of a request: before each call of its own that others can see, and before each
 * one of the launcher that works for it, which then goes on when the next daemon is there. That one finds all of the
 * context or nothing, and nothing is left of what was not done.
 */
import { existsSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isPopulated } from '../../daemon/drivers/namespaces/cgroups.js'
import type { Context } from '../../daemon/schemas/context.js'
import { contextd } from '../support/command.js'
import { TestDaemon, type Reply } from '../support/daemon.js'
import { expect, Guest } from '../support/guest.js'
import { buildKiller, Killer } from '../support/kill-at.js'
import { commOf, descendantsOf, heldNamespaces, mountsOf, processesOf, strangersAmong } from '../support/leftovers.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { childrenOf, isAlive, needsRoot, statusField } from '../support/proc.js'

const xid = 100
const path = `/contexts/${xid}`
const sleeper = ['/bin/sleep', '1000']
const body = {
  xid,
  name: 'web',
  bcaps: ['CHOWN', 'KILL'],
  uname: { nodename: 'web1', domainname: 'example.org' },
  init: { argv: sleeper }
}
const whole = { xid, name: 'web', state: 'running', bcaps: { names: ['CHOWN', 'KILL'] }, uname: { nodename: 'web1' } }

const send = (daemon: TestDaemon, method: string, to: string, content?: object): Promise<Reply> =>
  daemon.request(method, to, content, { headers: { connection: 'close' } })
const create = (daemon: TestDaemon) => send(daemon, 'POST', '/contexts', body)
const destroy = (daemon: TestDaemon) => send(daemon, 'DELETE', `${path}?grace=0`)
const look = (daemon: TestDaemon) => send(daemon, 'GET', path)

/** Launchers that are ready for an order: they get ready at a lower priority, which they leave at the end. */
async function readyLaunchers(daemon: TestDaemon): Promise<number[]> {
  const launchers = () => childrenOf(childrenOf(daemon.pid)[0] ?? 0)
  const isReady = (pid: number) => statusField(pid, 'State')?.startsWith('S') && getPriority(pid) === 0
  await until('launchers are ready', () => launchers().filter(isReady).length >= 2)
  return launchers()
}

async function initOf(daemon: TestDaemon): Promise<number> {
  return expect<Context>(200, await look(daemon)).initpid
}

/** Of the context, if it is there, all is there. */
async function isWholeOrGone(t: Test, daemon: TestDaemon): Promise<boolean> {
  const reply = await look(daemon)
  if (reply.status === 404) return false
  t.match(reply, { status: 200, body: whole })
  const { initpid } = reply.body as Context
  t.ok(isAlive(initpid) && commOf(initpid) === 'sleep', 'its init runs')
  t.equal((await new Guest(daemon, xid).shell('hostname')).stdout, 'web1\n')
  return true
}

/** A waiter hears of the end of the context. */
async function end(t: Test, daemon: TestDaemon): Promise<void> {
  const waiter = send(daemon, 'POST', `${path}/wait`)
  await new Guest(daemon, xid).hasWaiters(1)
  t.equal((await destroy(daemon)).status, 204)
  t.match(await waiter, { status: 200, body: { term_signal: 'SIGTERM' } })
}

async function isMadeAgain(t: Test, daemon: TestDaemon): Promise<void> {
  t.equal((await create(daemon)).status, 201)
  t.ok(await isWholeOrGone(t, daemon))
  await end(t, daemon)
}

/** Nothing is there but the daemon. */
async function isClean(t: Test, daemon: TestDaemon): Promise<void> {
  t.notOk(existsSync(join(daemon.cgroupRoot ?? '', 'contexts', String(xid))), 'no cgroup is left')
  const holders = () => strangersAmong(processesOf(daemon), daemon.pid)
  await until('nobody is in a cgroup, or holds or locks one', () => holders().length === 0).catch(() => {
    t.same(holders(), [], 'nobody is in a cgroup, or holds or locks one')
  })
  t.same(mountsOf(daemon), [], 'no mount is left')
  t.same([daemon.pid, ...descendantsOf(daemon.pid)].flatMap(heldNamespaces), [], 'no namespace is left')
}

interface Operation {
  request: (daemon: TestDaemon) => Promise<Reply>
  /** Launchers that will work for it. */
  launchers: (daemon: TestDaemon) => Promise<number[]>
  /** Of the next daemon; the reply of the killed one, if it came to that. A launcher is let go on by `release`. */
  found: (t: Test, daemon: TestDaemon, reply: Reply | undefined, release: () => Promise<void>) => Promise<void>
  /** The context is there at the start of each round. */
  needsContext: boolean
}

const operations: Record<string, Operation> = {
  'a creation with an init': {
    needsContext: false,
    request: create,
    launchers: readyLaunchers,
    found: async (t, daemon, reply, release) => {
      const isThere = await isWholeOrGone(t, daemon)
      if (reply) t.match(reply, { status: 201 })
      if (reply) t.ok(isThere, 'what was answered is true')
      if (isThere) await end(t, daemon)
      // Before an order that a launcher has is carried out, and after.
      await isMadeAgain(t, daemon)
      await release()
      await isMadeAgain(t, daemon)
    }
  },
  'the start of a process': {
    needsContext: true,
    request: (daemon) => send(daemon, 'POST', `${path}/processes`, { argv: sleeper }),
    launchers: readyLaunchers,
    found: async (t, daemon, reply, release) => {
      t.ok(await isWholeOrGone(t, daemon))
      await release()
      const guest = new Guest(daemon, xid)
      const init = await initOf(daemon)
      const others = async () => (await guest.processes()).filter(({ pid }) => pid !== init)
      const isDone = async () => (await others()).every(({ comm }) => comm === 'sleep')
      await until('no process is half-made', isDone)
      if (reply)
        matches(t, await others(), [{ pid: expect<{ pid: number }>(201, reply).pid }], 'what was answered is true')
      t.ok((await others()).length <= 1)
      await end(t, daemon)
    }
  },
  'a deletion': {
    needsContext: true,
    request: destroy,
    launchers: async (daemon) => [Number(statusField(await initOf(daemon), 'PPid'))],
    found: async (t, daemon, reply, release) => {
      await release()
      if (reply) t.match(reply, { status: 204 })
      if (reply) t.match(await look(daemon), { status: 404 }, 'what was answered is true')
      // The signal was sent, or not.
      const isOver = async () =>
        (await look(daemon)).status === 404 || isPopulated(join(daemon.cgroupRoot ?? '', 'contexts', String(xid)))
      await until('it is there or gone', isOver)
      if (await isWholeOrGone(t, daemon)) await end(t, daemon)
      const report = await send(daemon, 'POST', `${path}/wait`)
      t.match(report, { status: 200, body: { term_signal: 'SIGKILL' } }, 'how it ended is known')
      await isMadeAgain(t, daemon)
    }
  }
}

/** Kills it at this step. False when there is no such step. */
async function killAt(
  t: Test,
  killer: string,
  daemon: TestDaemon,
  operation: Operation,
  step: number,
  ofLaunchers: boolean
): Promise<boolean> {
  if (operation.needsContext) t.equal((await create(daemon)).status, 201)
  await readyLaunchers(daemon) // none is on its way any more
  const watched = ofLaunchers ? await operation.launchers(daemon) : [daemon.pid]
  const killing = await Killer.watch(killer, daemon.pid, step, watched)
  const reply = await operation.request(daemon).catch(() => undefined)
  const killedAt = await killing.killedAt(reply !== undefined)
  await t.test(`step ${step}: ${killedAt ?? 'after the answer'}`, async (t) => {
    await daemon.stop('SIGKILL')
    await daemon.boot()
    await operation.found(t, daemon, reply, () => killing.release())
    await killing.release()
    await isClean(t, daemon)
  })
  return killedAt !== undefined
}

for (const [name, operation] of Object.entries(operations))
  for (const ofLaunchers of [false, true])
    void t.test(
      `a daemon is killed at any ${ofLaunchers ? "launcher's step" : 'step'} of ${name}`,
      needsRoot(),
      async (t) => {
        t.setTimeout(0)
        const killer = buildKiller(t)
        const daemon = await TestDaemon.start('namespaces')
        t.teardown(() => daemon.cleanUp())
        let steps = 0
        while (await killAt(t, killer, daemon, operation, steps + 1, ofLaunchers)) steps++
        t.ok(steps >= 3, `${steps} steps`)
        t.equal((await contextd(['audit', 'verify', daemon.auditLog])).code, 0, 'the audit log is whole')
      }
    )
t.setTimeout(FILE_LIMIT_MS)

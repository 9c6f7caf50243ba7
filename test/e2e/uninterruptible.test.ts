/** What sleeps uninterruptibly is counted, and is load. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { StatReply } from '../../daemon/schemas/context.js'
import { expect, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { onRealDrivers } from '../support/real.js'
import { guestRoot } from '../support/root.js'

const source = fileURLToPath(new URL('../../../test/e2e/uninterruptible.cc', import.meta.url))

onRealDrivers((test, daemon, driver) => {
  test('a thread in state D is uninterruptible, not on hold, and counts for the load', async (t) => {
    const root = guestRoot(t, [])
    execFileSync('g++', ['-static', '-O1', '-o', join(root, 'sleeper'), source])
    const guest = await guestOf(t, daemon, { root, init: { argv: ['/sleeper'] } })
    const stat = async () => expect<StatReply>(200, await daemon.get(`${guest.path}/stat`))
    await until('it sleeps', async () => (await guest.processes()).some(({ state }) => state === 'D'))
    t.match(await stat(), { nr_threads: 2, nr_unintr: 1, nr_onhold: 0 })
    // The emulator has no load of its own.
    if (driver === 'namespaces') await until('it is load', async () => (await stat()).load?.[0] !== 0)
  })
})

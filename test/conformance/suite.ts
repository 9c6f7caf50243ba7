/** The conformance suite: what each call means, whatever the driver. It asks /vocabulary, never the driver's name. */
import t from 'tap'
import { TestDaemon, type StartOptions } from '../support/daemon.js'
import { FILE_LIMIT_MS } from '../support/poll.js'
import { convergence } from './cases/convergence.js'
import { creation } from './cases/creation.js'
import { exits } from './cases/exits.js'
import { init } from './cases/init.js'
import { life } from './cases/life.js'
import { pause } from './cases/pause.js'
import { limits } from './cases/limits.js'
import { processes } from './cases/processes.js'
import { reading } from './cases/reading.js'
import { repetition } from './cases/repetition.js'
import { requests } from './cases/requests.js'
import { signals } from './cases/signals.js'
import { state } from './cases/state.js'
import { uname } from './cases/uname.js'
import { users } from './cases/users.js'
import { words } from './cases/words.js'
import { Api, type Cases } from './support.js'

const groups: Record<string, Cases> = {
  creation,
  init,
  convergence,
  words,
  state,
  pause,
  uname,
  limits,
  reading,
  processes,
  users,
  signals,
  life,
  exits,
  repetition,
  requests
}

const TEST_TIMEOUT_MS = 300_000

/** How many of the suite's tests ended which way. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
}

/**
 * Runs the suite against a daemon of its own.
 * @param skip why it cannot run here
 */
export async function conformance(driver: string, skip?: string, start: StartOptions = {}): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: skip === undefined ? 0 : 1 }
  t.setTimeout(FILE_LIMIT_MS) // each test has its own
  const options = { timeout: 0, ...(skip !== undefined && { skip }) }
  const suite = await t.test(`conformance of the ${driver} driver`, options, async (t) => {
    const daemon = await TestDaemon.start(driver, start)
    t.teardown(() => daemon.cleanUp())
    const api = await Api.of(daemon)
    const before = await api.daemon.get('/contexts')
    for (const [group, register] of Object.entries(groups)) {
      await t.test(group, { timeout: 0 }, async (t) => {
        register((name, body) => {
          void t.test(name, { timeout: TEST_TIMEOUT_MS }, body).then((result) => {
            if (result?.ok) tally.passed++
            else tally.failed++
          })
        }, api)
      })
    }
    t.same((await daemon.get('/contexts')).body, before.body, 'the suite leaves no context behind')
    t.same((await daemon.get('/tasks/0')).body, { pid: 0, xid: 0 }, 'the daemon has never left the host')
  })
  // What belongs to no test of its own, such as a daemon that does not start.
  if (!suite?.ok && tally.failed === 0) tally.failed = 1
  return tally
}

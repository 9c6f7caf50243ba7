import { Gauge, Registry } from 'prom-client'
import { setImmediate } from 'node:timers/promises'
import { contextState } from '../contexts/view.js'
import type { Driver } from '../drivers/driver.js'
import { CallError } from '../drivers/errors.js'
import { PERSISTENT } from '../vocabulary/flags.js'
import { contextStates } from '../schemas/context.js'

/** Some microseconds each: together below a millisecond. */
const AT_A_TIME = 50
const PERIODS = ['1m', '5m', '15m']

/**
 * Of these contexts, in the text format.
 * @param each tasks and load of each context, too
 */
export async function contextMetrics(
  driver: Driver,
  xids: readonly number[],
  isStopping: (xid: number) => boolean,
  each: boolean
): Promise<string> {
  const registers = [new Registry()]
  const states = new Gauge({ name: 'contextd_contexts', help: 'Contexts by state.', labelNames: ['state'], registers })
  for (const state of contextStates) states.set({ state }, 0)
  const ofContext = { labelNames: ['xid'], registers }
  const tasks = each && new Gauge({ name: 'contextd_context_tasks', help: 'Tasks of a context.', ...ofContext })
  const load =
    each &&
    new Gauge({
      name: 'contextd_context_load',
      help: 'Load average of a context.',
      ...ofContext,
      labelNames: ['xid', 'period']
    })
  for (const [done, xid] of xids.entries()) {
    if (done % AT_A_TIME === 0) await setImmediate()
    try {
      states.inc({ state: contextState(driver, xid, isStopping(xid)) })
      if (!tasks || !load) continue
      const stat = await driver.vx_stat(xid)
      // The kernel's number has one more while PERSISTENT is set.
      tasks.set({ xid }, stat.tasks - (driver.vx_flags_get(xid).flags & PERSISTENT ? 1 : 0))
      for (const [index, period] of PERIODS.entries()) if (stat.load) load.set({ xid, period }, stat.load[index] ?? 0)
    } catch (error) {
      if (!(error instanceof CallError && error.code === 'ESRCH')) throw error // gone meanwhile
    }
  }
  return registers[0]?.metrics() ?? ''
}

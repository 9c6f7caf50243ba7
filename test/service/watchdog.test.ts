/** How often the service manager hears that the daemon lives: sd_watchdog_enabled(3) asks for half the interval. */
import t, { type Test } from 'tap'
import type { ServiceManager } from '../../daemon/service/notify.js'
import { keepWatchdog } from '../../daemon/service/watchdog.js'

/** The interval that the watchdog's timer is made with, ms, and what each of its turns says. */
function watchdogOf(t: Test, watchdogMs: number | undefined, status = () => 'well') {
  const said: string[] = []
  const manager = {
    watchdogMs,
    alive: async () => said.push('alive'),
    status: async (text: string) => said.push(text),
    onError: (error: unknown) => said.push(String(error))
  } as unknown as ServiceManager
  let turn: () => void = () => undefined
  const intervals: (number | undefined)[] = []
  const original = globalThis.setInterval
  globalThis.setInterval = (work: () => void, ms?: number) => {
    turn = work
    intervals.push(ms)
    return original(() => undefined, 1_000_000)
  }
  const leave = keepWatchdog(manager, status)
  globalThis.setInterval = original
  t.teardown(leave)
  return {
    intervals,
    said,
    turn: () => {
      turn()
    }
  }
}

void t.test('at half the interval the daemon says that it lives, and how it is', (t) => {
  const { intervals, said, turn } = watchdogOf(t, 10_000)
  t.same(intervals, [5000])
  turn()
  t.same(said, ['alive', 'well'])
  t.end()
})

void t.test('a daemon that cannot do its work does not', (t) => {
  const { said, turn } = watchdogOf(t, 10_000, () => {
    throw new Error('no contexts can be read')
  })
  turn()
  t.same(said, ['Error: no contexts can be read'])
  t.end()
})

void t.test('without a watchdog it says how it is now and then', (t) => {
  const { intervals, said, turn } = watchdogOf(t, undefined)
  t.same(intervals, [30_000])
  turn()
  t.same(said, ['well'])
  t.end()
})

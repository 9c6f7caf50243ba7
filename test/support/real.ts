/** The drivers that run real processes here. */
import t, { type Test } from 'tap'
import { TestDaemon, type StartOptions } from './daemon.js'
import { emulated, emulatorPath, hasVserver } from './emulator.js'
import { FILE_LIMIT_MS } from './poll.js'
import { needsRoot } from './proc.js'

const starts = { namespaces: {}, vserver: { emulator: [] } }
export type RealDriver = keyof typeof starts

/** A Linux-VServer kernel is older than what namespaces need. */
export const realDrivers: readonly RealDriver[] = hasVserver() ? ['vserver'] : ['namespaces', 'vserver']

/**
 * Those of a file whose guests outlive their daemons. The tests of the vserver driver are run in an emulator of the whole
 * file, as tests of this one.
 */
export function driversThatOutlive(file: string): readonly RealDriver[] {
  if (hasVserver()) return ['vserver']
  if (!needsRoot().skip) void t.spawn(emulatorPath, emulated(file), {}, 'vserver')
  return ['namespaces']
}

/** How a daemon of this driver is started. */
export const startOf = (driver: RealDriver): StartOptions => starts[driver]

/** Registers tests once for each of them, with a daemon of its own. */
export function onRealDrivers(
  register: (
    test: (name: string, body: (t: Test) => Promise<unknown>) => void,
    daemon: TestDaemon,
    driver: RealDriver
  ) => void
): void {
  t.setTimeout(FILE_LIMIT_MS)
  for (const driver of realDrivers)
    void t.test(driver, needsRoot(), async (t) => {
      t.setTimeout(0)
      const daemon = await TestDaemon.start(driver, startOf(driver))
      t.teardown(() => daemon.cleanUp())
      register((name, body) => void t.test(name, body), daemon, driver)
    })
}

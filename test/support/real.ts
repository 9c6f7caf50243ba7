/** The drivers that run real processes here. */
import t, { type Test } from 'tap'
import { TestDaemon } from './daemon.js'
import { FILE_LIMIT_MS } from './poll.js'
import { needsRoot } from './proc.js'

const realDrivers = { namespaces: {}, vserver: { emulator: [] } }
export type RealDriver = keyof typeof realDrivers

/** Registers tests once for each of them, with a daemon of its own. */
export function onRealDrivers(
  register: (
    test: (name: string, body: (t: Test) => Promise<unknown>) => void,
    daemon: TestDaemon,
    driver: RealDriver
  ) => void
): void {
  t.setTimeout(FILE_LIMIT_MS)
  for (const [driver, start] of Object.entries(realDrivers) as [RealDriver, object][])
    void t.test(driver, needsRoot(), async (t) => {
      t.setTimeout(0)
      const daemon = await TestDaemon.start(driver, start)
      t.teardown(() => daemon.cleanUp())
      register((name, body) => void t.test(name, body), daemon, driver)
    })
}

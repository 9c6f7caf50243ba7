import { Launchers } from '../launcher/launchers.js'
import type { LogTarget } from '../launcher/order.js'
import { CgroupHome } from './cgroups.js'
import { moveInto } from './delegation.js'
import { ForkCounter } from './forks.js'
import { missingVirtual } from './lxcfs.js'
import { NamespacesDriver } from './namespaces.js'

/**
 * Probes, adopts the contexts that are there, and clears away half-made ones.
 * @param root cgroup directory for contexts (CgroupHome)
 * @param log where output goes that is not captured
 * @param defaultPidsMax of Limiting
 * @param warn hears of contexts that cannot be taken over
 * @throws CallError naming the call that this user or kernel refuses
 */
export async function openNamespaces(
  root: string | undefined,
  log: LogTarget | undefined,
  warn: (error: unknown) => void,
  defaultPidsMax = 0
): Promise<NamespacesDriver> {
  const home = new CgroupHome(root, defaultPidsMax)
  let launchers: Launchers | undefined
  const counter = ForkCounter.open(home.contexts, home.level)
  const forks = counter instanceof ForkCounter ? counter : undefined
  try {
    const ready = (launchers = new Launchers(forks?.files, log, (pid) => {
      moveInto(home.shims, pid)
    }))
    await home.withScratch(async (path) => {
      const probe = ready.start({ mode: 'probe' }, { path })
      await probe.started
      await probe.ended
    })
    ready.prepare('join')
    const driver = new NamespacesDriver(home, ready, counter, await missingVirtual(home.missing))
    await driver.adoptAll(warn)
    return driver
  } catch (error) {
    launchers?.close()
    forks?.close()
    home.close()
    throw error
  }
}

import type { Driver, DriverName } from './driver.js'
import { CallError, reasonOf } from './errors.js'
import type { LogTarget } from './launcher/order.js'

export interface Selection {
  driver: Driver
  /** Why the drivers before this one were not taken. */
  passed: string[]
}

interface Options {
  name: DriverName | 'auto'
  cgroupRoot?: string | undefined
  /** Where a Linux-VServer kernel lists its contexts. */
  procVirtual: string
  /** Where the vserver driver keeps what the kernel does not. */
  stateDir: string
  /** Where output goes that is not captured; undefined: nowhere. */
  log?: LogTarget | undefined
  /** Of a context without a limit of its own; 0: none. */
  defaultPidsMax?: number | undefined
  /** Hears of contexts that a driver finds and cannot take over. */
  warn: (error: unknown) => void
  /** Development only: where nothing real works, take the model. A service never does. */
  allowMemory?: boolean
}

// Loaded when they are wanted: where the addon does not load, the model still runs.
const openers: Record<DriverName, (options: Options) => Promise<Driver>> = {
  vserver: async ({ procVirtual, stateDir, log, warn }) => {
    const { VserverDriver } = await import('./vserver/vserver.js')
    return VserverDriver.open({ procVirtual, stateDir, log, warn })
  },
  namespaces: async ({ cgroupRoot, log, warn, defaultPidsMax }) => {
    if (process.getuid?.() !== 0) throw new CallError('EPERM', 'setns', 'namespaces need root')
    const { openNamespaces } = await import('./namespaces/open.js')
    return openNamespaces(cgroupRoot, log, warn, defaultPidsMax)
  },
  memory: async () => {
    const { MemoryDriver } = await import('./memory/memory.js')
    return new MemoryDriver()
  }
}

/** Opens the named driver, or with `auto` the first real one that works here. Throws with every reason, a line each. */
export async function selectDriver(options: Options): Promise<Selection> {
  if (options.name !== 'auto') return { driver: await openers[options.name](options), passed: [] }
  const passed: string[] = []
  for (const name of options.allowMemory
    ? (['vserver', 'namespaces', 'memory'] as const)
    : (['vserver', 'namespaces'] as const)) {
    try {
      return { driver: await openers[name](options), passed }
    } catch (error) {
      passed.push(`${name}: ${reasonOf(error)}`)
    }
  }
  // A stock kernel is what most hosts have: what it lacks is what they want to hear of first.
  throw new Error(
    `no driver works here\n${passed
      .toReversed()
      .map((reason) => `  ${reason}`)
      .join('\n')}`
  )
}

/** Tells the service manager that the daemon lives, and what it does. */
import type { ServiceManager } from './notify.js'

/** Between two looks at the status where there is no watchdog. */
const STATUS_MS = 30_000

/**
 * At half the watchdog's interval, as sd_watchdog_enabled(3) has it, and from the event loop: one that is stuck says
 * nothing, and neither does one whose `status` throws, for then the daemon cannot do its work.
 * @param status what is shown by `systemctl status`
 * @returns what ends it
 */
export function keepWatchdog(manager: ServiceManager, status: () => string): () => void {
  const tick = () => {
    let text: string
    try {
      text = status()
    } catch (error) {
      manager.onError(error)
      return
    }
    if (manager.watchdogMs !== undefined) void manager.alive()
    void manager.status(text)
  }
  const timer = setInterval(tick, manager.watchdogMs === undefined ? STATUS_MS : manager.watchdogMs / 2)
  return () => {
    clearInterval(timer)
  }
}

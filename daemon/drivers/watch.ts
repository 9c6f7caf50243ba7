import { watch } from 'node:fs'

/**
 * Calls `changed` when the file or directory changes. Guests can use up the inotify instances of uid 0; then it looks
 * itself, every `pollMs`. Returns what ends it.
 */
export function watchPath(path: string, pollMs: number, changed: () => void): () => void {
  try {
    const watcher = watch(path, { persistent: false }, changed)
    watcher.on('error', () => undefined)
    return () => {
      watcher.close()
    }
  } catch {
    const timer = setInterval(changed, pollMs).unref()
    return () => {
      clearInterval(timer)
    }
  }
}

import { readFileSync } from 'node:fs'

/** Where the addon and the launcher are. What is relative to a file is said here, beside the bundle that it becomes part of. */
export const nativeFolder = new URL('../native/', import.meta.url)

/** dist/daemon/ is two folders below package.json, installed or not. */
export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

import { readFileSync } from 'node:fs'

/** dist/daemon/version.js is two folders below package.json, installed or not. */
export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

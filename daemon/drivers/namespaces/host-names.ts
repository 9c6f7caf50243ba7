/** Names of the host, for fields that a context has no value of. */
import { readFileSync } from 'node:fs'
import { hostname, machine, release, type, version } from 'node:os'
import type { UnameField } from '../../vocabulary/uname.js'

/** How old the domain name may be, ms. */
const DOMAINNAME_AGE_MS = 1000

const kernel = { sysname: type(), release: release(), version: version(), machine: machine() }

/** The host may change the last two. */
export const hostNames: Record<UnameField, () => string> = {
  context: () => '',
  sysname: () => kernel.sysname,
  release: () => kernel.release,
  version: () => kernel.version,
  machine: () => kernel.machine,
  nodename: hostname,
  domainname: hostDomainname
}

let domainname = { value: '', readAt: -Infinity }

/** Not read each time: Node has no call for it, and a list of contexts asks for each of them. */
function hostDomainname(): string {
  const now = performance.now()
  if (now - domainname.readAt > DOMAINNAME_AGE_MS)
    domainname = { value: readFileSync('/proc/sys/kernel/domainname', 'utf8').trimEnd(), readAt: now }
  return domainname.value
}

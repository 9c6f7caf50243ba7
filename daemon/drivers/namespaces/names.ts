/** The names of a context: kept in its attributes, and its UTS namespace's own where it has one. */
import type { UnameField } from '../../vocabulary/uname.js'
import { native } from '../native.js'
import type { Context } from './context.js'
import { hostNames } from './host-names.js'
import { isEnded } from './starts.js'

export function nameOf(context: Context, field: UnameField): string {
  if (context.namesMayDiffer && (field === 'nodename' || field === 'domainname')) {
    try {
      return native.getUtsNames(context.openPid1())[field]
    } catch (error) {
      if (!isEnded(error)) throw error // PID 1 is on its way out, and its names with it
    }
  }
  return context.names.get(field) ?? hostNames[field]()
}

export function setName(context: Context, field: UnameField, value: string): void {
  if (context.pid1) {
    if (field === 'nodename') native.setNodename(context.openPid1(), value)
    if (field === 'domainname') native.setDomainname(context.openPid1(), value)
  }
  context.saveName(field, value)
}

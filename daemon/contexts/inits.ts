/** Inits of distributions. */
import { posix } from 'node:path'

/** They refuse to be anything but PID 1, so on Linux-VServer they need INFO_INIT. */
const programs = [
  'init',
  'systemd',
  'openrc-init',
  'runit',
  'runit-init',
  's6-linux-init',
  'dinit',
  'finit',
  'shepherd'
]

/** By the last part of its path: /sbin/init, /lib/systemd/systemd, busybox as init. */
export function isDistributionInit([program = '', applet]: readonly string[]): boolean {
  const name = posix.basename(program)
  return programs.includes(name) || (name === 'busybox' && applet === 'init')
}

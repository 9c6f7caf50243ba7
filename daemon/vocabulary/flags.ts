import { rowsFrom, WordTable } from './word.js'

const seed = rowsFrom('libvserver vserver.h')

/** Context flags, VXF_*. "(legacy)" is the header's "(L)": honoured only where the legacy interface is compiled in. */
export const flags = new WordTable('VXF_', [
  seed(1, 'INFO_SCHED', 'Account all processes as one (legacy)'),
  seed(2, 'INFO_NPROC', 'Apply process limits to context (legacy)'),
  seed(3, 'INFO_PRIVATE', 'Context cannot be entered'),
  seed(4, 'INFO_INIT', 'Show a fake init process'),
  seed(5, 'INFO_HIDE', 'Hide context information in task status'),
  seed(6, 'INFO_ULIMIT', 'Apply ulimits to context (legacy)'),
  seed(7, 'INFO_NSPACE', 'Use private namespace (legacy)'),
  seed(8, 'SCHED_HARD', 'Enable hard scheduler'),
  seed(9, 'SCHED_PRIO', 'Enable priority scheduler'),
  seed(10, 'SCHED_PAUSE', 'Pause context (unschedule)'),
  seed(16, 'VIRT_MEM', 'Virtualize memory information'),
  seed(17, 'VIRT_UPTIME', 'Virtualize uptime information'),
  seed(18, 'VIRT_CPU', 'Virtualize cpu usage information'),
  seed(19, 'VIRT_LOAD', 'Virtualize load average information'),
  seed(20, 'VIRT_TIME', 'Allow per guest time offsets'),
  seed(24, 'HIDE_MOUNT', 'Hide entries in /proc/$pid/mounts'),
  seed(25, 'HIDE_NETIF', 'Hide foreign network interfaces'),
  seed(26, 'HIDE_VINFO', 'Hide context information in task status'),
  seed(32, 'STATE_SETUP', 'Enable setup state'),
  seed(33, 'STATE_INIT', 'Enable init state'),
  seed(34, 'STATE_ADMIN', 'Enable admin state'),
  seed(36, 'SC_HELPER', 'Context state change helper'),
  seed(37, 'REBOOT_KILL', 'Kill all processes on reboot(2)'),
  seed(38, 'PERSISTENT', 'Make context persistent'),
  seed(48, 'FORK_RSS', 'Block fork when over RSS'),
  seed(49, 'PROLIFIC', 'Allow context to create new contexts'),
  seed(52, 'IGNEG_NICE', 'Ignore priority raise')
])

export const INFO_INIT = flags.bit('INFO_INIT')
export const INFO_PRIVATE = flags.bit('INFO_PRIVATE')
export const SCHED_PAUSE = flags.bit('SCHED_PAUSE')
export const STATE_SETUP = flags.bit('STATE_SETUP')
export const STATE_INIT = flags.bit('STATE_INIT')
export const STATE_ADMIN = flags.bit('STATE_ADMIN')
export const SC_HELPER = flags.bit('SC_HELPER')
export const IGNEG_NICE = flags.bit('IGNEG_NICE')
export const REBOOT_KILL = flags.bit('REBOOT_KILL')
export const PERSISTENT = flags.bit('PERSISTENT')

/** The one-time bits: a context starts with them, and once cleared they cannot be set again. */
export const STATE_BITS = STATE_SETUP | STATE_INIT | STATE_ADMIN

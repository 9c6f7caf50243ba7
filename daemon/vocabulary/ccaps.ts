import { rowsFrom, WordTable } from './word.js'

const seed = rowsFrom('libvserver vserver.h')
const later = rowsFrom('Linux-VServer 2.3 (linux/vserver/context.h)')

/**
 * Context capabilities, VXC_*. The names outlast the checks behind them: 2.3 moved RAW_ICMP to the network context and
 * dropped SECURE_REMOUNT, and its patch for Linux 4.9 defines KTHREAD and NAMESPACE (of 2.6 and 3.x) without a use.
 */
export const ccaps = new WordTable('VXC_', [
  seed(0, 'SET_UTSNAME', 'Allow setdomainname(2) and sethostname(2)'),
  seed(1, 'SET_RLIMIT', 'Allow setrlimit(2)'),
  later(2, 'FS_SECURITY', 'Allow setting and removing security.* extended attributes'),
  later(3, 'FS_TRUSTED', 'Allow access to trusted.* extended attributes'),
  later(4, 'TIOCSTI', 'Allow the TIOCSTI ioctl on a terminal other than the controlling one'),
  seed(8, 'RAW_ICMP', 'Allow raw ICMP sockets'),
  seed(12, 'SYSLOG', 'Allow syslog(2)'),
  later(13, 'OOM_ADJUST', 'Allow lowering oom_score_adj'),
  later(14, 'AUDIT_CONTROL', 'Allow changing an audit login UID that is already set'),
  seed(16, 'SECURE_MOUNT', 'Allow secure mount(2)'),
  seed(17, 'SECURE_REMOUNT', 'Allow secure remount'),
  seed(18, 'BINARY_MOUNT', 'Allow binary/network mounts'),
  later(19, 'DEV_MOUNT', 'Allow mounts without nodev'),
  seed(20, 'QUOTA_CTL', 'Allow quota ioctl'),
  seed(21, 'ADMIN_MAPPER', 'Allow access to device mapper'),
  seed(22, 'ADMIN_CLOOP', 'Allow access to loop devices'),
  later(24, 'KTHREAD', 'Allow creation of kernel threads'),
  later(25, 'NAMESPACE', 'Allow new namespaces and changes of mount propagation')
])

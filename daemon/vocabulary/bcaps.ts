import { type BitName, rowsFrom, WordTable } from './word.js'

/**
 * Whose capability numbers: 'seed' is Linux-VServer before 2.3, where CONTEXT has bit 31; 'vs2.3' is Linux-VServer 2.3,
 * where CONTEXT moved to 63 because Linux 2.6.24 gave 31 to SETFCAP; 'linux' is a kernel without Linux-VServer.
 */
export type BcapsAbi = 'seed' | 'vs2.3' | 'linux'

const seed = rowsFrom('libvserver vserver.h, capabilities(7)')
const later = rowsFrom('linux/capability.h, capabilities(7)')

const linuxCapabilities: readonly BitName[] = [
  seed(0, 'CHOWN', 'Make arbitrary changes to file UIDs and GIDs'),
  seed(1, 'DAC_OVERRIDE', 'Bypass file read, write and execute permission checks'),
  seed(2, 'DAC_READ_SEARCH', 'Bypass file read and directory search permission checks; use open_by_handle_at(2)'),
  seed(3, 'FOWNER', 'Bypass permission checks that require the process to own the file'),
  seed(4, 'FSETID', 'Keep set-user-ID and set-group-ID bits when a file is modified'),
  seed(5, 'KILL', 'Bypass permission checks for sending signals'),
  seed(6, 'SETGID', 'Make arbitrary manipulations of process GIDs and the supplementary GID list'),
  seed(7, 'SETUID', 'Make arbitrary manipulations of process UIDs'),
  seed(8, 'SETPCAP', 'Drop from the bounding set, add to the inheritable set, change securebits'),
  seed(9, 'LINUX_IMMUTABLE', 'Set the append-only and immutable inode flags'),
  seed(10, 'NET_BIND_SERVICE', 'Bind a socket to Internet domain privileged ports (below 1024)'),
  seed(11, 'NET_BROADCAST', 'Make socket broadcasts, and listen to multicasts (unused)'),
  seed(12, 'NET_ADMIN', 'Configure network interfaces, routing tables and the IP firewall'),
  seed(13, 'NET_RAW', 'Use RAW and PACKET sockets; bind to any address for transparent proxying'),
  seed(14, 'IPC_LOCK', 'Lock memory; allocate memory using huge pages'),
  seed(15, 'IPC_OWNER', 'Bypass permission checks for operations on System V IPC objects'),
  seed(16, 'SYS_MODULE', 'Load and unload kernel modules'),
  seed(17, 'SYS_RAWIO', 'Perform I/O port operations; open /dev/mem, /dev/kmem and /proc/kcore'),
  seed(18, 'SYS_CHROOT', 'Use chroot(2); change mount namespaces using setns(2)'),
  seed(19, 'SYS_PTRACE', 'Trace arbitrary processes; read and write their memory'),
  seed(20, 'SYS_PACCT', 'Use acct(2)'),
  seed(21, 'SYS_ADMIN', 'Perform a range of system administration: mount(2), sethostname(2), setns(2) and more'),
  seed(22, 'SYS_BOOT', 'Use reboot(2) and kexec_load(2)'),
  seed(23, 'SYS_NICE', 'Raise priorities; set scheduling policy and CPU affinity of arbitrary processes'),
  seed(24, 'SYS_RESOURCE', 'Increase resource limits; override disk quotas; use reserved filesystem space'),
  seed(25, 'SYS_TIME', 'Set the system clock and the real-time (hardware) clock'),
  seed(26, 'SYS_TTY_CONFIG', 'Use vhangup(2) and privileged ioctl(2) operations on virtual terminals'),
  seed(27, 'MKNOD', 'Create special files using mknod(2)'),
  seed(28, 'LEASE', 'Establish leases on arbitrary files'),
  seed(29, 'AUDIT_WRITE', 'Write records to the kernel auditing log'),
  seed(30, 'AUDIT_CONTROL', 'Enable and disable kernel auditing; change auditing filter rules'),
  later(31, 'SETFCAP', 'Set arbitrary capabilities on a file'),
  later(32, 'MAC_OVERRIDE', 'Override Mandatory Access Control (Smack)'),
  later(33, 'MAC_ADMIN', 'Change Mandatory Access Control configuration or state (Smack)'),
  later(34, 'SYSLOG', 'Perform privileged syslog(2) operations; view kernel addresses in /proc'),
  later(35, 'WAKE_ALARM', 'Trigger something that will wake up the system'),
  later(36, 'BLOCK_SUSPEND', 'Employ features that can block system suspend'),
  later(37, 'AUDIT_READ', 'Read the audit log via a multicast netlink socket'),
  later(38, 'PERFMON', 'Employ performance monitoring: perf_event_open(2) and related BPF operations'),
  later(39, 'BPF', 'Employ privileged BPF operations'),
  later(40, 'CHECKPOINT_RESTORE', 'Choose the PIDs of new processes; read map_files of other processes')
]

const contextMeaning = 'Use the vserver(2) commands'
const seedContext = rowsFrom('libvserver vserver.h')(31, 'CONTEXT', contextMeaning)
const context = rowsFrom('Linux-VServer 2.3 (linux/capability.h)')(63, 'CONTEXT', contextMeaning)

const upTo = (lastBit: number, contextRow: BitName) =>
  new WordTable('CAP_', [...linuxCapabilities.filter(({ bit }) => bit <= lastBit), contextRow])

const tables: Readonly<Record<BcapsAbi, WordTable>> = {
  seed: upTo(30, seedContext),
  'vs2.3': upTo(37, context),
  // CONTEXT keeps its name where nothing checks it, so a request written for one driver is understood by the other.
  linux: upTo(40, context)
}

/** The capability names, CAP_*, of one ABI; always the same table for the same ABI. */
export function bcapsFor(abi: BcapsAbi): WordTable {
  return tables[abi]
}

/**
 * The set a guest customarily starts with. SYS_BOOT is in it because reboot(2) of a guest never reaches the host:
 * Linux-VServer gives it to a helper program, and in a PID namespace it ends that namespace's init. No such boundary
 * holds back kexec_load(2), which SYS_BOOT allows too, nor open_by_handle_at(2) under DAC_READ_SEARCH: a driver has to
 * filter both.
 */
export const SAFE_BCAPS: readonly string[] = Object.freeze([
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_BOOT',
  'SYS_TTY_CONFIG',
  'LEASE',
  'AUDIT_WRITE',
  'SETFCAP'
])

const safeWords = new WeakMap<WordTable, bigint>()

/** The word of SAFE_BCAPS in this table, without the names it does not have (SETFCAP in the seed ABI). */
export function safeBcaps(table: WordTable): bigint {
  let word = safeWords.get(table)
  if (word === undefined) {
    word = table.parse(SAFE_BCAPS.filter((name) => table.find(name) !== undefined))
    safeWords.set(table, word) // every creation asks
  }
  return word
}

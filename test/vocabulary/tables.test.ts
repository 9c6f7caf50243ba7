import t from 'tap'
import { type BcapsAbi, bcapsFor, SAFE_BCAPS, safeBcaps } from '../../daemon/vocabulary/bcaps.js'
import { ccaps } from '../../daemon/vocabulary/ccaps.js'
import * as flagWords from '../../daemon/vocabulary/flags.js'
import { migrate, SET_INIT, SET_REAPER } from '../../daemon/vocabulary/migrate.js'
import { unameFields } from '../../daemon/vocabulary/uname.js'
import type { WordTable } from '../../daemon/vocabulary/word.js'

const { flags } = flagWords

// Transcribed from the Defines of the libvserver page, one line a constant.
const VXF: Record<string, bigint> = {
  VXF_INFO_SCHED: 0x00000002n,
  VXF_INFO_NPROC: 0x00000004n,
  VXF_INFO_PRIVATE: 0x00000008n,
  VXF_INFO_INIT: 0x00000010n,
  VXF_INFO_HIDE: 0x00000020n,
  VXF_INFO_ULIMIT: 0x00000040n,
  VXF_INFO_NSPACE: 0x00000080n,
  VXF_SCHED_HARD: 0x00000100n,
  VXF_SCHED_PRIO: 0x00000200n,
  VXF_SCHED_PAUSE: 0x00000400n,
  VXF_VIRT_MEM: 0x00010000n,
  VXF_VIRT_UPTIME: 0x00020000n,
  VXF_VIRT_CPU: 0x00040000n,
  VXF_VIRT_LOAD: 0x00080000n,
  VXF_VIRT_TIME: 0x00100000n,
  VXF_HIDE_MOUNT: 0x01000000n,
  VXF_HIDE_NETIF: 0x02000000n,
  VXF_HIDE_VINFO: 0x04000000n,
  VXF_STATE_SETUP: 1n << 32n,
  VXF_STATE_INIT: 1n << 33n,
  VXF_STATE_ADMIN: 1n << 34n,
  VXF_SC_HELPER: 1n << 36n,
  VXF_REBOOT_KILL: 1n << 37n,
  VXF_PERSISTENT: 1n << 38n,
  VXF_FORK_RSS: 1n << 48n,
  VXF_PROLIFIC: 1n << 49n,
  VXF_IGNEG_NICE: 1n << 52n
}

const VXC: Record<string, bigint> = {
  VXC_SET_UTSNAME: 0x00000001n,
  VXC_SET_RLIMIT: 0x00000002n,
  VXC_RAW_ICMP: 0x00000100n,
  VXC_SYSLOG: 0x00001000n,
  VXC_SECURE_MOUNT: 0x00010000n,
  VXC_SECURE_REMOUNT: 0x00020000n,
  VXC_BINARY_MOUNT: 0x00040000n,
  VXC_QUOTA_CTL: 0x00100000n,
  VXC_ADMIN_MAPPER: 0x00200000n,
  VXC_ADMIN_CLOOP: 0x00400000n
}

// Linux-VServer 2.3, linux/vserver/context.h.
const laterVXC: Record<string, bigint> = {
  VXC_FS_SECURITY: 0x00000004n,
  VXC_FS_TRUSTED: 0x00000008n,
  VXC_TIOCSTI: 0x00000010n,
  VXC_OOM_ADJUST: 0x00002000n,
  VXC_AUDIT_CONTROL: 0x00004000n,
  VXC_DEV_MOUNT: 0x00080000n,
  VXC_KTHREAD: 0x01000000n,
  VXC_NAMESPACE: 0x02000000n
}

const VXM: Record<string, bigint> = { VXM_SET_INIT: 0x00000001n, VXM_SET_REAPER: 0x00000002n }

const CAP: Record<string, number> = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_LINUX_IMMUTABLE: 9,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_BROADCAST: 11,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_IPC_OWNER: 15,
  CAP_SYS_MODULE: 16,
  CAP_SYS_RAWIO: 17,
  CAP_SYS_CHROOT: 18,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_PACCT: 20,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_BOOT: 22,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
  CAP_SYS_TIME: 25,
  CAP_SYS_TTY_CONFIG: 26,
  CAP_MKNOD: 27,
  CAP_LEASE: 28,
  CAP_AUDIT_WRITE: 29,
  CAP_AUDIT_CONTROL: 30,
  CAP_CONTEXT: 31
}

// linux/capability.h of Linux 4.9 as patched, and of Linux 5.9.
const vs23CAP: Record<string, number> = {
  ...CAP,
  CAP_SETFCAP: 31,
  CAP_MAC_OVERRIDE: 32,
  CAP_MAC_ADMIN: 33,
  CAP_SYSLOG: 34,
  CAP_WAKE_ALARM: 35,
  CAP_BLOCK_SUSPEND: 36,
  CAP_AUDIT_READ: 37,
  CAP_CONTEXT: 63
}
const linuxCAP: Record<string, number> = { ...vs23CAP, CAP_PERFMON: 38, CAP_BPF: 39, CAP_CHECKPOINT_RESTORE: 40 }

const bits = (caps: Record<string, number>) =>
  Object.fromEntries(Object.entries(caps).map(([name, bit]) => [name, 1n << BigInt(bit)]))

const wordsOf = (table: WordTable) =>
  Object.fromEntries(table.rows.map(({ name }) => [`${table.prefix}${name}`, table.bit(name)]))

void t.test('the page has 27 context flags, each with its value', async (t) => {
  t.equal(flags.rows.length, 27)
  t.strictSame(wordsOf(flags), VXF)
})

void t.test('the page has 10 context capabilities, and Linux-VServer 2.3 has 8 more', async (t) => {
  const seed = ccaps.rows.filter(({ source }) => source === 'libvserver vserver.h')
  t.same(seed.map(({ name }) => `VXC_${name}`).sort(), Object.keys(VXC).sort())
  t.equal(seed.length, 10)
  t.equal(ccaps.rows.length, 18)
  t.strictSame(wordsOf(ccaps), { ...VXC, ...laterVXC })
})

void t.test('the page has 2 migration flags', async (t) => {
  t.equal(migrate.rows.length, 2)
  t.strictSame(wordsOf(migrate), VXM)
  t.equal(SET_INIT, 1n)
  t.equal(SET_REAPER, 2n)
})

void t.test('the page has 32 capabilities, CONTEXT the last', async (t) => {
  t.equal(bcapsFor('seed').rows.length, 32)
  t.strictSame(wordsOf(bcapsFor('seed')), bits(CAP))
})

void t.test('from 2.3 on bit 31 is SETFCAP and CONTEXT is bit 63', async (t) => {
  t.equal(bcapsFor('vs2.3').rows.length, 39)
  t.strictSame(wordsOf(bcapsFor('vs2.3')), bits(vs23CAP))
  t.strictSame(bcapsFor('vs2.3').names((1n << 31n) | (1n << 63n)), ['SETFCAP', 'CONTEXT'])
})

void t.test('a stock kernel has three capabilities more', async (t) => {
  t.equal(bcapsFor('linux').rows.length, 42)
  t.strictSame(wordsOf(bcapsFor('linux')), bits(linuxCAP))
})

void t.test('an ABI has one table, so its cache of views is shared', async (t) => {
  for (const abi of ['seed', 'vs2.3', 'linux'] as const) t.equal(bcapsFor(abi), bcapsFor(abi))
})

void t.test('the page has 7 fields of virtual system information', async (t) => {
  t.strictSame(Object.fromEntries(unameFields.map(({ constant, id }) => [constant, id])), {
    VHIN_CONTEXT: 0,
    VHIN_SYSNAME: 1,
    VHIN_NODENAME: 2,
    VHIN_RELEASE: 3,
    VHIN_VERSION: 4,
    VHIN_MACHINE: 5,
    VHIN_DOMAINNAME: 6
  })
  t.strictSame(
    unameFields.map(({ name }) => name),
    ['context', 'sysname', 'nodename', 'release', 'version', 'machine', 'domainname']
  )
})

void t.test('the flags that code asks for by constant are the ones of the page', async (t) => {
  t.equal(flagWords.INFO_PRIVATE, 0x8n)
  t.equal(flagWords.SCHED_PAUSE, 0x400n)
  t.equal(flagWords.STATE_SETUP, 0x1_0000_0000n)
  t.equal(flagWords.STATE_INIT, 0x2_0000_0000n)
  t.equal(flagWords.STATE_ADMIN, 0x4_0000_0000n)
  t.equal(flagWords.REBOOT_KILL, 0x20_0000_0000n)
  t.equal(flagWords.PERSISTENT, 0x40_0000_0000n)
  t.equal(flagWords.STATE_BITS, 0x7_0000_0000n)
})

void t.test('the safe set has no power over the host, and leaves out what an ABI does not have', async (t) => {
  const common = 0x344c_04ffn
  const expected: Record<BcapsAbi, bigint> = {
    seed: common,
    'vs2.3': common | (1n << 31n),
    linux: common | (1n << 31n)
  }
  t.equal(SAFE_BCAPS.length, 16)
  for (const abi of ['seed', 'vs2.3', 'linux'] as const) {
    const table = bcapsFor(abi)
    t.equal(safeBcaps(table), expected[abi], abi)
    const denied = ['SYS_ADMIN', 'SYS_MODULE', 'SYS_RAWIO', 'NET_ADMIN', 'NET_RAW', 'MKNOD', 'SYS_TIME', 'CONTEXT']
    t.equal(safeBcaps(table) & table.parse(denied), 0n, abi)
  }
})

void t.test('every name says what it means and where that is written', async (t) => {
  const rows = [flags, ccaps, migrate, bcapsFor('seed'), bcapsFor('linux')].flatMap(({ rows }) => rows)
  for (const { name, meaning, source } of [...rows, ...unameFields]) {
    t.match(meaning, /^[A-Z][^\n]{5,90}[^.\s]$/, name)
    t.match(source, /\.h|\(\d\)/, name)
  }
})

/** What a launcher is told to become: native/launcher/protocol/spec.h. */
import { endianness } from 'node:os'
import type { ProcessSpec, ProcessUser } from '../driver.js'
import { protocol } from '../native.js'

export interface LauncherSpec {
  mode: 'probe' | 'init' | 'reaper' | 'exec' | 'vs_create' | 'vs_enter' | 'vs_list'
  process?: ProcessSpec | undefined
  bcaps?: bigint
  root?: string | null
  nodename?: string | undefined
  domainname?: string | undefined
  pokeReaper?: boolean
  /** Where the forks of the context are counted. */
  forkSlot?: number | undefined
  xid?: number
  /** Of ctx_create or ctx_migrate. */
  word?: bigint
  /** CLONE_* of the namespaces that a context has of its own. */
  spaces?: bigint
  /** Files of lxcfs for the guest's /proc. */
  lxcfs?: readonly string[]
  /** Of IGNEG_NICE. */
  ignoreNice?: boolean
  /** STATE_* to be cleared before the exec. */
  clears?: bigint
  /** INFO_PRIVATE is set. */
  isPrivate?: boolean
  capture?: { limit: number; stdin?: string } | undefined
  /** Whose log has what the process writes, or what it leaves behind when it is captured; without it none. */
  log?: { xid: number; incarnation: bigint }
  timeoutMs?: number | undefined
  /** As in MigrateData. Not for shims of an earlier version. */
  startDelayMs?: number | undefined
}

/** Where launchers write logs: LOG_FD of native/launcher/protocol/spec.h, and the fields that go with it. */
export interface LogTarget {
  fd: number
  fieldsOf: (log: { xid: number; incarnation: bigint }) => Record<string, string | number>
}

/** Descriptors that go with an order, -1 for none: order_fds of native/launcher/protocol/spec.h. */
export interface Descriptors {
  cgroup: number
  pid1: number
  log: number
}

export interface Order {
  data: Buffer
  descriptors: Descriptors
}

const U32 = 4

/** Both ends are on this machine, so numbers have its byte order. */
const isLittle = endianness() === 'LE'
const writeU32 = (data: Buffer, value: number, at: number) =>
  isLittle ? data.writeUInt32LE(value, at) : data.writeUInt32BE(value, at)

/** Without one the launcher takes root's ids, and looks nothing up. */
function accountFields(user: ProcessUser | undefined): [string, string | number | undefined][] {
  if (!user) return []
  const { name, uid, group, gid, groups } = user
  return [
    ['account', 1],
    ['user', name],
    ['uid', uid],
    ['group_name', group],
    ['gid', gid],
    ...(groups ? [['groups', 1] as [string, number]] : []),
    ...(groups ?? []).map((id) => ['group', id] as [string, number])
  ]
}

/** SpecHeader and "key=value\0" fields, then stdin: native/launcher/protocol/spec.h. */
export function encode(spec: LauncherSpec, log: Record<string, string | number>, descriptors: Descriptors): Buffer {
  let text = `mode=${spec.mode}\0`
  const add = (key: string, value: string | number | null | undefined) => {
    if (value !== undefined && value !== null) text += `${key}=${value}\0`
  }
  if (spec.process) {
    for (const arg of spec.process.argv) add('argv', arg)
    for (const [name, value] of Object.entries(spec.process.env)) add('env', `${name}=${value}`)
    add('cwd', spec.process.cwd)
    for (const [key, value] of accountFields(spec.process.user)) add(key, value)
    add('umask', spec.process.umask?.toString(8))
    for (const { name, soft, hard } of spec.process.rlimits ?? []) add('rlimit', `${name} ${soft} ${hard}`)
  }
  add('root', spec.root)
  add('nodename', spec.nodename)
  add('domainname', spec.domainname)
  if (spec.pokeReaper) add('poke_reaper', 1)
  add('fork_slot', spec.forkSlot)
  add('xid', spec.xid)
  for (const key of ['bcaps', 'word', 'spaces', 'clears'] as const) if (spec[key]) add(key, spec[key].toString(16)) // 0 without
  for (const file of spec.lxcfs ?? []) add('lxcfs', file)
  if (spec.ignoreNice) add('ignore_nice', 1)
  if (spec.isPrivate) add('private', 1)
  add('capture', spec.capture?.limit)
  add('timeout_ms', spec.timeoutMs)
  add('start_delay_ms', spec.startDelayMs)
  for (const [key, value] of Object.entries(log)) add(key, value)
  const stdin = spec.capture?.stdin ?? ''
  const [textSize, stdinSize] = [Buffer.byteLength(text), Buffer.byteLength(stdin)]
  const { cgroup, pid1, log: logFd } = descriptors
  const present = [cgroup, pid1, logFd].reduce((mask, fd, bit) => (fd < 0 ? mask : mask | (1 << bit)), 0)
  const header = [protocol, textSize, stdinSize, present]
  const order = Buffer.allocUnsafe(header.length * U32 + textSize + stdinSize)
  for (const [i, value] of header.entries()) writeU32(order, value, i * U32)
  order.write(text, header.length * U32)
  order.write(stdin, header.length * U32 + textSize)
  return order
}

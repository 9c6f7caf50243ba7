/** What a Linux-VServer kernel says of itself. */
import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import type { BcapsAbi } from '../../vocabulary/bcaps.js'
import { CallError } from '../errors.js'
import { asCallError, vserver } from '../native.js'

/** The first version with CAP_CONTEXT at 63. */
const VERSION_2_3 = 0x00020300

/** CLONE_* bits of linux/sched.h; CLONE_FS carries root and working directory. */
const CLONE_FS = 0x200n
const CLONE_NEWNS = 0x20000n
const CLONE_NEWUTS = 0x4000000n
const CLONE_NEWIPC = 0x8000000n

/** Bits of the configuration word (linux/vserver/switch.h, VCI_*). */
const configurationBits: readonly (readonly [bit: number, name: string])[] = [
  [0, 'NO_DYNAMIC'],
  [4, 'PROC_SECURE'],
  [8, 'COWBL'],
  [9, 'FULLCOWBL'],
  [10, 'SPACES'],
  [11, 'NETV2'],
  [12, 'MEMCG'],
  [13, 'MEMCG_SWAP'],
  [16, 'DEBUG'],
  [20, 'HISTORY'],
  [28, 'PPTAG']
]
const TAGGING_SHIFT = 24
const TAGGING_MASK = 7
const taggings: Record<number, string> = {
  1: 'TAGGED_UID16',
  2: 'TAGGED_GID16',
  3: 'TAGGED_ID24',
  4: 'TAGGED_INTERNAL',
  5: 'TAGGED_RUNTIME',
  7: 'TAGGED_OTHER'
}

const HIDDEN_PROC =
  "this kernel (PROC_SECURE) hides most of /proc from guests, so that free, uptime and the like fail there: run util-vserver's vprocunhide at each boot (README)"

export interface Kernel {
  /** For people. */
  about: string
  abi: Extract<BcapsAbi, 'seed' | 'vs2.3'>
  /** CLONE_* of the namespaces that a context gets of its own. */
  spaces: bigint
  /** What guests lack because of how it was configured. */
  warnings: readonly string[]
}

/** 0x00020308 is 2.3.8. */
export function formatVersion(word: number): string {
  return [word >>> 16, (word >>> 8) & 0xff, word & 0xff].join('.')
}

/** The names of the configuration word's bits. */
export function configurationNames(word: number): string[] {
  const names = configurationBits.filter(([bit]) => (word >>> bit) & 1).map(([, name]) => name)
  const tagging = taggings[(word >>> TAGGING_SHIFT) & TAGGING_MASK]
  return tagging === undefined ? names : [...names, tagging]
}

/** @throws CallError ENOSYS with both reasons it can have; no call is made where the machine has no number for it */
export function probeKernel(): Kernel {
  if (vserver.callNumber < 0)
    throw new CallError('ENOSYS', 'vserver', `Linux-VServer has no system call on ${process.arch}`)
  const [version, configuration, available] = answered(
    () => [vserver.getVersion(), vserver.getVci(), vserver.getSpaceMask()] as const
  )
  const names = configurationNames(configuration)
  const hidesProc = names.includes('PROC_SECURE')
  const missing = (CLONE_FS | CLONE_NEWNS | CLONE_NEWUTS) & ~available
  if (missing)
    throw new CallError(
      'ENOSYS',
      'set_space',
      `this kernel's contexts lack namespaces (CLONE_* 0x${missing.toString(16)})`
    )
  return {
    about: `Linux-VServer ${formatVersion(version)} (${names.join(', ') || 'no options'}), Linux ${release()}`,
    abi: version >= VERSION_2_3 ? 'vs2.3' : 'seed',
    spaces: (CLONE_FS | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) & available,
    warnings: hidesProc ? [HIDDEN_PROC] : []
  }
}

/** The kernel answers ENOSYS for itself and for a caller without the power to ask, and does not say which. */
function answered<T>(call: () => T): T {
  try {
    return call()
  } catch (thrown) {
    const error = asCallError(thrown as Error, [])
    if (!(error instanceof CallError && error.code === 'ENOSYS')) throw error
    throw new CallError(
      'ENOSYS',
      'vserver',
      `Linux ${release()} is no Linux-VServer kernel, or contextd lacks CAP_CONTEXT: it needs root, outside any context`
    )
  }
}

/** Tells two runs of the host apart. */
export const bootId = () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** Where contexts live: one cgroup v2 directory each, below `<mount>/contextd/contexts`. */
import { closeSync, constants, mkdirSync, openSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { CallError } from '../errors.js'
import { native } from '../native.js'

interface Cgroup2Mount {
  /** Directory of the hierarchy that is mounted. */
  root: string
  path: string
}

/** mountinfo escapes space, tab, newline and backslash as octal (proc(5)). */
const unescape = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** The cgroup2 mounts, unified or beside v1 ones, of /proc/self/mountinfo (proc(5)). */
export function cgroup2Mounts(mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): Cgroup2Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [fields = '', filesystem = ''] = line.split(' - ')
    const [, , , root = '', path = ''] = fields.split(' ')
    return filesystem.startsWith('cgroup2 ') ? [{ root: unescape(root), path: unescape(path) }] : []
  })
}

/** The directory all contexts are in, held by a lock: two daemons must not manage the same contexts. */
export class CgroupHome {
  readonly contexts: string
  readonly #prefix: string
  readonly #lock: number

  /**
   * @param root directory inside a cgroup2 mount; default `<first mount>/contextd`. Made when missing.
   * @throws CallError naming what is missing: no mount, no permission, an old kernel, another daemon
   */
  constructor(root?: string) {
    const mounts = cgroup2Mounts()
    const path = root === undefined ? defaultRoot(mounts) : resolve(root)
    const mount = mounts.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`))
    if (!mount) throw new CallError('ENOENT', 'mkdir', `${path} is not inside a cgroup2 mount (/proc/self/mountinfo)`)
    this.contexts = join(path, 'contexts')
    this.#prefix = `0::${join(mount.root, relative(mount.path, this.contexts))}/`
    withErrno('mkdir', this.contexts, () => mkdirSync(this.contexts, { recursive: true, mode: 0o755 }))
    // cgroup.kill cannot be opened for reading, and guests see it on read-only mounts: nobody else can hold its lock.
    // It is also what this driver needs of Linux 5.14.
    const lockPath = join(this.contexts, 'cgroup.kill')
    this.#lock = withErrno('open', lockPath, () => openSync(lockPath, constants.O_WRONLY))
    if (!native.tryLock(this.#lock)) {
      closeSync(this.#lock)
      throw new CallError('EAGAIN', 'fcntl', `another contextd manages ${path}; give this one its own --cgroup-root`)
    }
  }

  /** Runs `work` on an empty cgroup of its own. */
  async withScratch<T>(work: (path: string) => Promise<T>): Promise<T> {
    const path = join(dirname(this.contexts), 'probe')
    withErrno('mkdir', path, () => mkdirSync(path, { recursive: true, mode: 0o755 }))
    try {
      return await work(path)
    } finally {
      removeTree(path)
    }
  }

  path(xid: number): string {
    return join(this.contexts, String(xid))
  }

  /** How /proc/PID/cgroup names the context's cgroup. */
  line(xid: number): string {
    return `${this.#prefix}${xid}`
  }

  /** The xid a process's /proc/PID/cgroup belongs to, 0 for the host. */
  xidOf(cgroup: string): number {
    for (const line of cgroup.split('\n'))
      if (line.startsWith(this.#prefix)) return parseInt(line.slice(this.#prefix.length), 10)
    return 0
  }

  xids(): number[] {
    return readdirSync(this.contexts, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && /^[1-9]\d*$/.test(entry.name))
      .map((entry) => Number(entry.name))
      .sort((a, b) => a - b)
  }

  close(): void {
    closeSync(this.#lock)
  }
}

function defaultRoot(mounts: Cgroup2Mount[]): string {
  const [mount] = mounts
  if (!mount) throw new CallError('ENOENT', 'mount', 'no cgroup2 filesystem is mounted (/proc/self/mountinfo)')
  return join(mount.path, 'contextd')
}

/** Node's file system errors as CallErrors. */
export function withErrno<T>(call: string, path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new CallError(code, syscall ?? call, path)
  }
}

/** True while a process that is not a zombie is in the cgroup or below it; false when there is no cgroup. */
export function isPopulated(path: string): boolean {
  try {
    return /^populated 1$/m.test(readFileSync(join(path, 'cgroup.events'), 'utf8'))
  } catch (error) {
    // A read of a directory that is being removed fails with ENODEV.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/** SIGKILL for everything in the cgroup and below it, forks in flight included (cgroup.kill, Linux 5.14). */
export function killAll(path: string): void {
  withErrno('write', join(path, 'cgroup.kill'), () => {
    writeFileSync(join(path, 'cgroup.kill'), '1')
  })
}

/** Removes the directory and what a guest has made below it. EBUSY while a process is left; fine when it is gone. */
export function removeTree(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    // A cgroup with children is busy too.
    const children = childrenOf(path)
    if (children.length === 0) throw error
    for (const child of children) removeTree(child)
    rmdirSync(path)
  }
}

const childrenOf = (path: string) =>
  readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [join(path, entry.name)] : []))

/** Where contexts live: one cgroup v2 directory each, below `<root>/contexts`. */
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  writeFileSync
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { CallError, withErrno } from '../errors.js'
import { native } from '../native.js'
import { allMissing, handOn, type MissingControllers } from './controllers.js'
import { cgroup2Mounts, type Cgroup2Mount } from './cgroup2-mounts.js'
import { clearDelegated, delegatedCgroup, isDelegated, ownCgroup, SUBGROUP } from './delegation.js'

/** The directory all contexts are in, held by a lock: two daemons must not manage the same contexts. */
export class CgroupHome {
  readonly contexts: string
  /** Of launchers and shims, which outlive the daemon, and so must not be in the cgroup that it was started in. */
  readonly shims: string
  readonly missing: MissingControllers
  /** Of Limiting. */
  readonly defaultPidsMax: number
  readonly #prefix: string
  readonly #lock: number

  /**
   * @param root directory inside a cgroup2 mount, absolute or below the first one. Default is the daemon's own cgroup
   * when systemd has delegated it, else `<first mount>/contextd`. Made when missing.
   * @throws CallError naming what is missing: no mount, no permission, an old kernel, another daemon
   */
  constructor(root?: string, defaultPidsMax = 0) {
    this.defaultPidsMax = defaultPidsMax
    const mounts = cgroup2Mounts()
    const path = rootOf(mounts, root)
    const mount = mounts.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}/`))
    if (!mount) throw new CallError('ENOENT', 'mkdir', `${path} is not inside a cgroup2 mount (/proc/self/mountinfo)`)
    this.contexts = join(path, 'contexts')
    this.shims = join(path, SUBGROUP)
    this.#prefix = `0::${join(mount.root, relative(mount.path, this.contexts))}/`
    withErrno('mkdir', `${this.contexts}: contexts cannot live there; --cgroup-root names another place`, () => {
      makeDirectories(this.contexts)
      makeDirectories(this.shims)
    })
    // cgroup.kill cannot be opened for reading, and guests see it on read-only mounts: nobody else can hold its lock.
    // It is also what this driver needs of Linux 5.14.
    const lockPath = join(this.contexts, 'cgroup.kill')
    this.#lock = withErrno('open', lockPath, () => openSync(lockPath, constants.O_WRONLY))
    try {
      if (!native.tryLock(this.#lock))
        throw new CallError('EAGAIN', 'fcntl', `another contextd manages ${path}; give this one its own --cgroup-root`)
      const isUnit = isDelegated(path)
      const startsHere = ownCgroup(mount) === path
      if (isUnit) clearDelegated(path)
      // Where systemd starts the unit no process could be started any more, once controllers are handed on (EBUSY).
      this.missing =
        isUnit && startsHere
          ? allMissing(
              `no cgroup controllers where systemd starts the daemon, ${path}: it needs DelegateSubgroup=daemon`
            )
          : handOn(mount.path, this.contexts)
    } catch (error) {
      closeSync(this.#lock)
      throw error
    }
  }

  /** @throws CallError when contexts cannot be made any more */
  probe(): void {
    withErrno('access', this.contexts, () => {
      accessSync(this.contexts, constants.W_OK | constants.X_OK)
    })
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

  /** Depth of a context's cgroup below the root of the hierarchy. */
  get level(): number {
    return this.#prefix.split('/').length - 1
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

/** mkdirSync's own `recursive` answers ENOENT where the reason is EROFS. */
function makeDirectories(path: string): void {
  try {
    mkdirSync(path, { mode: 0o755 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || path === dirname(path)) throw error
    makeDirectories(dirname(path))
    mkdirSync(path, { mode: 0o755 })
  }
}

function rootOf(mounts: Cgroup2Mount[], root: string | undefined): string {
  const [mount] = mounts
  if (!mount) throw new CallError('ENOENT', 'mount', 'no cgroup2 filesystem is mounted (/proc/self/mountinfo)')
  return root === undefined ? (delegatedCgroup(mount) ?? join(mount.path, 'contextd')) : resolve(mount.path, root)
}

/** True while a process that is not a zombie is in the cgroup or below it; false when there is no cgroup. */
export const isPopulated = (path: string): boolean => hasEvent(path, /^populated 1$/m)

function hasEvent(path: string, line: RegExp): boolean {
  try {
    return line.test(readFileSync(join(path, 'cgroup.events'), 'utf8'))
  } catch (error) {
    // A read of a directory that is being removed fails with ENODEV.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

/** Stops or lets go on all that is in the cgroup and below it, now and later (cgroup.freeze, Linux 5.2). */
export function setFrozen(path: string, frozen: boolean): void {
  withErrno('write', join(path, 'cgroup.freeze'), () => {
    writeFileSync(join(path, 'cgroup.freeze'), frozen ? '1' : '0')
  })
}

/** True when all of it has stopped: a moment after setFrozen, or not before an uninterruptible sleep is over. */
export const isFrozen = (path: string): boolean => hasEvent(path, /^frozen 1$/m)

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

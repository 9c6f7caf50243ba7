/** A policy that comes from a file, and comes anew on SIGHUP. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { gidOf, readAccounts } from './accounts.js'
import { Policy } from './policy.js'

/** The group whose members may do everything where there is no policy file, and who may open the socket. */
export const CONTEXTD_GROUP = 'contextd'

const WRITABLE_BY_OTHERS = 0o022

export class PolicyFile {
  /** What holds now: after a reload another one. */
  current: Policy

  /**
   * @param isOptional without a file the default policy holds
   * @throws LocatedError, or Error naming the file
   */
  constructor(
    readonly path: string,
    private readonly isOptional: boolean
  ) {
    this.current = this.#read()
  }

  /** @throws as the constructor does; the policy stays as it was then */
  reload(): void {
    this.current = this.#read()
  }

  #read(): Policy {
    const ownUid = process.geteuid?.() ?? 0
    let file
    try {
      file = openSync(this.path, 'r')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' && this.isOptional) return Policy.default(ownUid, gidOf(CONTEXTD_GROUP))
      throw new Error(`policy ${this.path}: ${code ?? String(error)}`)
    }
    try {
      const { mode, uid } = fstatSync(file)
      if (uid !== 0 && uid !== ownUid)
        throw new Error(`policy ${this.path}: belongs to uid ${uid}, who could change it; it must be root's`)
      if (mode & WRITABLE_BY_OTHERS)
        throw new Error(
          `policy ${this.path}: others than its owner may write it (mode ${(mode & 0o7777).toString(8)}); chmod go-w it`
        )
      return Policy.parse(this.path, readFileSync(file, 'utf8'), readAccounts())
    } finally {
      closeSync(file)
    }
  }
}

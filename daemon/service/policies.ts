/** Which policy holds for which connection: that of the socket it came in by. */
import type { Socket } from 'node:net'
import { resolve } from 'node:path'
import type { Config } from '../config.js'
import { PolicyFile } from '../policy/file.js'

/** The policies of the sockets, each file read once. */
export class Policies {
  readonly files: readonly PolicyFile[]
  readonly #ofSocket = new Map<string, PolicyFile>()
  /** Of connections to other sockets than the first. */
  readonly #ofConnection = new WeakMap<Socket, PolicyFile>()
  readonly #first: PolicyFile

  /**
   * @param paths of the sockets that are served; one that the settings do not have, as a passed one may be, gets the
   *   policy of all
   * @throws Error saying what is wrong with which file
   */
  constructor({ sockets, policy, policyIsNamed }: Config, paths: readonly string[]) {
    const byPath = new Map<string, PolicyFile>()
    const open = (own: string | undefined): PolicyFile => {
      const path = resolve(own ?? policy)
      const file = byPath.get(path) ?? new PolicyFile(path, own === undefined && !policyIsNamed)
      byPath.set(path, file)
      return file
    }
    for (const path of paths)
      this.#ofSocket.set(path, open(sockets.find((socket) => resolve(socket.path) === path)?.policy))
    this.#first = this.#ofSocket.get(paths[0] ?? '') ?? open(undefined)
    this.files = [...byPath.values()]
  }

  readonly of = (connection: Socket): PolicyFile => this.#ofConnection.get(connection) ?? this.#first

  /** What notes of a connection that it came in by the socket of this path. */
  noteOf(path: string): (connection: Socket) => void {
    const file = this.#ofSocket.get(path) ?? this.#first
    return (connection) => {
      this.#ofConnection.set(connection, file)
    }
  }
}

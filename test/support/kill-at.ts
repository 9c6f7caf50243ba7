/** Kills a daemon at a step that a test names: test/e2e/kill-at.cc. */
import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { until } from './poll.js'

const source = fileURLToPath(new URL('../../../test/e2e/kill-at.cc', import.meta.url))

/** Builds it; removed when the test is over. */
export function buildKiller(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-killer-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const program = join(directory, 'kill-at')
  execFileSync('g++', ['-O1', '-std=c++17', '-o', program, source])
  return program
}

export class Killer {
  #output = ''
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  /** All that it has said is read. */
  readonly #ended: Promise<unknown>

  private constructor(program: string, victim: number, step: number, pids: number[]) {
    this.#child = spawn(program, [victim, step, ...pids].map(String), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#ended = once(this.#child, 'close')
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
  }

  /** Returns when nothing of these processes is missed any more. */
  static async watch(program: string, victim: number, step: number, pids: number[]): Promise<Killer> {
    const killer = new Killer(program, victim, step, pids)
    await until('it watches', () => killer.#output.includes('watching'))
    return killer
  }

  /** The call that was about to be made; undefined while there was none. */
  get #call(): string | undefined {
    return /^killed at (.*)$/m.exec(this.#output)?.[1]
  }

  /**
   * The call at which it has killed, to be asked when the request is over.
   * @param isAnswered without an answer it has killed, and says so a moment later. An answer may have come before the
   *   step, or there is no such step: it watches no more then, and undefined is certain
   */
  async killedAt(isAnswered: boolean): Promise<string | undefined> {
    if (isAnswered && this.#call === undefined) await this.release()
    return isAnswered ? this.#call : until('it says where it has killed', () => this.#call)
  }

  /** Lets all go on that is held, and watches no more. */
  async release(): Promise<void> {
    this.#child.stdin.end()
    await this.#ended
  }
}

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestDaemon } from '../test/support/daemon.js'
import type { Section } from './report.js'

/** What a measurement is given. */
export interface Bench {
  /** A daemon of the bench's own, with no context in it. */
  daemon: TestDaemon
  rounds: number
  /** Aborts when the bench is to end. */
  stop: AbortSignal
  progress: (text: string) => void
}

export type Measure = (bench: Bench) => Promise<Section>

/** Programs in C that the Makefile puts here. */
const program = (name: string) => fileURLToPath(new URL(`../../build/bench/${name}`, import.meta.url))

/** A static program that ends at once. Guests may have no way to it here: Peers has a copy. */
export const trueBuilt = program('true')

/** Sends the same request again and again, one at a time; microseconds of each. By floor.c, as peers are timed. */
export const asks = ({ daemon, stop }: Bench, turns: number, method: 'GET' | 'POST', path: string, body?: object) =>
  floor(stop, 'ask', turns, daemon.socket, method, path, body ? JSON.stringify(body) : '')

/** Runs floor.c; microseconds of each turn. */
export async function floor(stop: AbortSignal, ...args: (string | number)[]): Promise<number[]> {
  const { stdout } = await promisify(execFile)(program('floor'), args.map(String), { signal: stop })
  return stdout.trimEnd().split('\n').map(Number)
}

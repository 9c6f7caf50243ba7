/** Container tools that contextd is measured against, where they are installed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { trueBuilt } from './bench.js'

const isInstalled = (program: string) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0

/** A root directory with the measured program alone, and an OCI bundle around it. */
export class Peers {
  readonly #directory = mkdtempSync('/var/tmp/contextd-bench-') // a guest has a /tmp of its own
  readonly #root = join(this.#directory, 'rootfs')
  /** The measured program, where guests see it too, wherever the checkout is. */
  readonly truePath = join(this.#root, 'true')
  readonly #running = `contextd-bench-${process.pid}`
  readonly #hasRunc = isInstalled('runc')
  readonly #hasBwrap = isInstalled('bwrap')
  #isRunning = false

  constructor() {
    mkdirSync(this.#root)
    chmodSync(this.#directory, 0o755)
    copyFileSync(trueBuilt, this.truePath)
  }

  /** Command line of one whole life of `true`; undefined where there is no bwrap. */
  bwrap(): string[] | undefined {
    return this.#hasBwrap ? ['bwrap', '--unshare-all', '--ro-bind', this.#root, '/', '/true'] : undefined
  }

  /** The same by runc. */
  runcRun(): string[] | undefined {
    if (!this.#hasRunc) return undefined
    return ['runc', 'run', '--bundle', this.#bundle('once', ['/true']), `${this.#running}-once`]
  }

  /** Command line of `true` in a container that runs already. */
  runcExec(): string[] | undefined {
    if (!this.#hasRunc) return undefined
    const bundle = this.#bundle('stay', ['/true', 'stay'])
    execFileSync('runc', ['run', '--detach', '--bundle', bundle, this.#running], { stdio: 'ignore' })
    this.#isRunning = true
    return ['runc', 'exec', this.#running, '/true']
  }

  close(): void {
    if (this.#isRunning) execFileSync('runc', ['delete', '--force', this.#running], { stdio: 'ignore' })
    rmSync(this.#directory, { recursive: true })
  }

  #bundle(name: string, args: string[]): string {
    const bundle = join(this.#directory, name)
    mkdirSync(bundle)
    execFileSync('runc', ['spec', '--bundle', bundle])
    const path = join(bundle, 'config.json')
    const config = JSON.parse(readFileSync(path, 'utf8')) as { process: object; root: object }
    Object.assign(config.process, { args, terminal: false })
    Object.assign(config.root, { path: this.#root })
    writeFileSync(path, JSON.stringify(config))
    return bundle
  }
}

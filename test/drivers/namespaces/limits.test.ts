/** What is written to the files of a cgroup, here a directory that looks like one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Controller } from '../../../daemon/drivers/namespaces/controllers.js'
import { applyDefaults, applyLimits } from '../../../daemon/drivers/namespaces/limits.js'
import { flags } from '../../../daemon/vocabulary/flags.js'
import { noLimits } from '../../../daemon/vocabulary/limits.js'

const others: [Controller, string][] = [
  ['cpu', 'not here'],
  ['memory', 'not here']
]

void t.test(
  'a context without pids_max has the default one, unless there is no controller, or no default',
  async (t) => {
    const path = mkdtempSync(join(tmpdir(), 'contextd-limits-'))
    t.teardown(() => {
      rmSync(path, { recursive: true })
    })
    const written = () => readFileSync(join(path, 'pids.max'), 'utf8')
    const host = { missing: new Map(others), defaultPidsMax: 16_384 }
    const bit = flags.bit('INFO_NPROC')
    const none = { flags: 0n, limits: noLimits }
    const recorded = { flags: 0n, limits: { ...noLimits, pids_max: 20_000 } }
    const acting = { ...recorded, flags: bit }
    writeFileSync(join(path, 'pids.max'), 'max')
    applyDefaults(path, { missing: new Map([...others, ['pids', 'not here'] as const]), defaultPidsMax: 16_384 })
    applyDefaults(path, { missing: new Map(others), defaultPidsMax: 0 })
    t.equal(written(), 'max')
    applyDefaults(path, host)
    t.equal(written(), '16384')
    await applyLimits(path, recorded, none, host)
    t.equal(written(), '16384', 'a value without its flag does not act')
    await applyLimits(path, acting, recorded, host)
    t.equal(written(), '20000')
    await applyLimits(path, { flags: bit, limits: noLimits }, acting, host)
    t.equal(written(), '16384', 'the default is back')
    await applyLimits(path, none, undefined, { ...host, defaultPidsMax: 0 })
    t.equal(written(), 'max')
  }
)

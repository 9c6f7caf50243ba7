/** TypeScript types that are made of the document compile as strictly as can be, and a client drives a daemon with them. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { contextd, run } from './support/command.js'
import { TestDaemon } from './support/daemon.js'
import { matches } from './support/matches.js'
import { needsRoot } from './support/proc.js'

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** Below the project, for its packages are found from there. */
const folder = project(`build/client-${process.pid}`)
const at = (name: string) => join(folder, name)

const compilerOptions = {
  target: 'ES2022',
  lib: ['ES2023', 'DOM', 'DOM.AsyncIterable'],
  module: 'NodeNext',
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUnusedLocals: true,
  skipLibCheck: true // other packages'; contextd.ts is no declaration file, and is checked
}

t.before(() => {
  mkdirSync(folder, { recursive: true })
})
t.teardown(() => {
  rmSync(folder, { recursive: true, force: true })
})

void t.test('types are made of the document, and a client compiles with them', async (t) => {
  t.equal((await contextd(['openapi', '--output', at('openapi.json')])).code, 0)
  const names = ['--root-types', '--root-types-no-schema-prefix', '--root-types-keep-casing']
  const made = await run(project('node_modules/.bin/openapi-typescript'), [
    ...[at('openapi.json'), '--output', at('contextd.ts')],
    ...names
  ])
  t.equal(made.code, 0, made.stdout + made.stderr)
  copyFileSync(project('test/client/client.ts'), at('client.ts'))
  writeFileSync(at('package.json'), '{"type":"module"}')
  writeFileSync(at('tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  t.same(await run(project('node_modules/.bin/tsc'), ['-p', folder]), { code: 0, stdout: '', stderr: '' })
})

for (const driver of ['memory', 'namespaces'] as const) {
  const options = driver === 'namespaces' ? needsRoot() : { skip: false }
  void t.test(`it creates, runs, is refused, compares and follows, with the ${driver} driver`, options, async (t) => {
    const daemon = await TestDaemon.start(driver)
    t.teardown(() => daemon.cleanUp())
    const { code, stdout, stderr } = await run(process.execPath, [at('client.js'), daemon.socket])
    t.same([code, stderr], [0, ''])
    matches(t, JSON.parse(stdout), {
      creation: { status: 201, state: 'running', location: '/contexts/100' },
      capture: { status: 200, stdout: 'web1\n', exit_code: 0 },
      problem: { type: 'esrch', status: 404, errno: 'ESRCH', xid: 999, isGone: true },
      conditional: [['nodename'], 200, 'precondition', 412],
      end: 204,
      events: [
        'created web1',
        'started init',
        'started process',
        'changed uname.nodename',
        'exited SIGKILL',
        'destroyed SIGKILL'
      ]
    })
  })
}

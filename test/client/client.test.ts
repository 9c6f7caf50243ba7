/** Types that are generated from the document: they compile as strictly as TypeScript can, and drive a daemon. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { run } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'

const project = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const bin = (name: string) => project(`node_modules/.bin/${name}`)

const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  module: 'nodenext',
  moduleResolution: 'nodenext',
  target: 'es2023',
  lib: ['es2023', 'dom'],
  types: ['node'],
  skipLibCheck: true,
  outDir: 'out'
}

void t.test('a client by generated types compiles strictly, and does what it says', async (t) => {
  mkdirSync(project('build'), { recursive: true })
  // In the checkout, where the packages are.
  const directory = mkdtempSync(project('build/client-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const types = await run(bin('openapi-typescript'), [
    project('openapi/openapi.json'),
    '--output',
    join(directory, 'api.ts')
  ])
  t.equal(types.code, 0, types.stdout + types.stderr)
  copyFileSync(project('test/client/client.ts'), join(directory, 'client.ts'))
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const compiled = await run(bin('tsc'), ['-p', directory])
  t.equal(compiled.code, 0, compiled.stdout)

  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const { code, stdout, stderr } = await run(process.execPath, [join(directory, 'out', 'client.js'), daemon.socket])
  t.same([code, stderr], [0, ''])
  t.same(JSON.parse(stdout), {
    created: 201,
    output: 'web1\n',
    renamed: ['nodename'],
    late: 'precondition',
    problem: [404, true],
    told: ['gap', 'created web1', 'started', 'exited', 'changed'],
    status: ['empty']
  })
})

interface Operation {
  requestBody?: { content: Record<string, { schema: { $ref: string } }> }
}

interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { examples?: unknown[] }> }
}

void t.test('every request body has a name, and examples that work as they are', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const { paths, components } = expect<Document>(200, await daemon.get('/openapi.json'))
  let sent = 0
  for (const [path, operations] of Object.entries(paths))
    for (const [method, { requestBody }] of Object.entries(operations)) {
      if (!requestBody) continue
      const { $ref = '' } = requestBody.content['application/json']?.schema ?? {}
      const name = $ref.replace('#/components/schemas/', '')
      const examples = components.schemas[name]?.examples ?? []
      t.match(name, /Request$/, `${method} ${path}`)
      t.ok(examples.length > 0, `${name} has examples`)
      for (const example of examples) {
        const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['sleep', '1000'] } })
        const url = path.replace('{xid}', String(guest.xid)).replace('{field}', 'nodename')
        const reply = await daemon.request(method.toUpperCase(), url, example)
        t.ok(reply.status < 300, `${method} ${path} ${JSON.stringify(example)}: ${reply.text}`)
        sent++
      }
    }
  t.ok(sent >= 16, `${sent} examples`)
})

void t.test('every problem is a link to what it means', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  for (const path of ['/contexts/999', '/nowhere', '/contexts?limit=0']) {
    const { headers, body } = (await daemon.get(path)) as { headers: Record<string, unknown>; body: { type: string } }
    const [, page = '', anchor = ''] = /^<(.*)#(.*)>; rel="help"$/.exec(String(headers.link)) ?? []
    t.equal(anchor, body.type)
    const { status, text } = await daemon.get(page)
    t.equal(status, 200)
    t.match(text, `<tr id="${anchor}">`)
  }
})

void t.test('JSON ends with a newline, whoever makes it', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const guest = await guestOf(t, daemon)
  for (const path of ['/', '/contexts', guest.path, `${guest.path}/flags`, '/audit', '/openapi.json', '/nowhere'])
    t.match((await daemon.get(path)).text, /[}]\n$/, path)
  t.match((await daemon.put(guest.path, { name: 'n' })).text, /[}]\n$/)
})

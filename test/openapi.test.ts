/** The document: the same as the code, as a linter and as a live daemon. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import Fastify from 'fastify'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { addPolicy } from '../daemon/plugins/policy.js'
import { Policy } from '../daemon/policy/policy.js'
import { actions } from '../daemon/schemas/policy.js'
import { contextd, run } from './support/command.js'
import { TestDaemon, type Reply } from './support/daemon.js'
import { expect, guestOf } from './support/guest.js'
import { needsRoot } from './support/proc.js'

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const documentPath = project('openapi/openapi.json')

interface Media {
  schema: { $ref: string }
}
interface Operation {
  parameters?: { in: string; name: string }[]
  requestBody?: { content: Record<string, Media> }
  tags?: string[]
  'x-contextd-action'?: string
  operationId?: string
  responses: Record<
    string,
    { description: string; headers?: Record<string, object>; content?: Record<string, { schema: object }> }
  >
}
interface Document {
  openapi: string
  tags: { name: string }[]
  components: { schemas: Record<string, { examples?: object[] }> }
  paths: Record<string, Record<string, Operation>>
}

async function printed(): Promise<Document> {
  const { stdout } = await contextd(['openapi'])
  return JSON.parse(stdout) as Document
}

void t.test('openapi/openapi.json is what the code says (npm run openapi makes it anew)', async (t) => {
  const { code, stdout, stderr } = await contextd(['openapi'])
  t.same([code, stderr], [0, ''])
  t.equal(readFileSync(documentPath, 'utf8'), stdout)
})

void t.test('a running daemon serves the same document, whatever its driver', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  t.same(expect(200, await daemon.get('/openapi.json')), await printed())
  const docs = await daemon.get('/docs/')
  t.equal(docs.status, 200)
  t.match(docs.text, /swagger/i)
})

void t.test('every call of the library is an operation of its own name', async (t) => {
  const { openapi, paths } = await printed()
  t.equal(openapi, '3.1.0')
  const operations = Object.values(paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId))
  const calls = [
    'vx_create',
    'vx_migrate',
    'vx_task_xid',
    'vx_info',
    'vx_stat',
    'vx_bcaps_get',
    'vx_bcaps_set',
    'vx_ccaps_get',
    'vx_ccaps_set',
    'vx_flags_get',
    'vx_flags_set',
    'vx_uname_get',
    'vx_uname_set',
    'vx_kill',
    'vx_wait'
  ]
  for (const call of calls) t.ok(operations.includes(call), call)
  t.equal(new Set(operations).size, operations.length, 'no name twice')
})

void t.test('every operation says which action it takes, the one that its call is about', async (t) => {
  const { paths } = await printed()
  const ofMethod: Record<string, string[]> = {
    get: ['read', 'audit'],
    put: ['create', 'configure'],
    patch: ['configure'],
    delete: ['destroy'],
    post: ['create', 'execute', 'signal', 'read']
  }
  for (const [path, operations] of Object.entries(paths))
    for (const [method, { 'x-contextd-action': action = 'none' }] of Object.entries(operations))
      t.ok(ofMethod[method]?.includes(action), `${method} ${path}: ${action}`)
  for (const action of actions.filter((action) => action !== 'audit'))
    t.ok(
      Object.values(paths).some((path) => Object.values(path).some((each) => each['x-contextd-action'] === action)),
      `${action} is an action of something`
    )
})

void t.test('a route without an action cannot be added', async (t) => {
  const app = Fastify()
  addPolicy(app, () => ({ current: Policy.default(0, undefined) }), { exists: () => false, ownerOf: () => null })
  t.throws(() => app.get('/new', () => 'x'), { message: 'GET /new declares no action' })
  t.doesNotThrow(() => app.get('/declared', { config: { action: 'read' } }, () => 'x'))
})

void t.test('redocly finds nothing wrong with the document', async (t) => {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }
  const { code, stdout, stderr } = await run(project('node_modules/.bin/redocly'), ['lint', documentPath], {
    env,
    cwd: project('.')
  })
  t.equal(code, 0, stdout + stderr)
  t.match(stdout + stderr, /valid/i)
})

for (const driver of ['memory', 'namespaces'] as const) {
  const options = driver === 'namespaces' ? needsRoot() : { skip: false }
  void t.test(`every reply to a GET is as the document says, with the ${driver} driver`, options, async (t) => {
    const daemon = await TestDaemon.start(driver)
    t.teardown(() => daemon.cleanUp())
    await guestOf(t, daemon, { xid: 100, name: 'web1', flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
    await guestOf(t, daemon, { xid: 101 })
    const { initpid } = (await daemon.get('/contexts/100')).body as { initpid: number }
    const document = await printed()
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    formats.default(ajv)
    ajv.addSchema(document, 'document')

    const check = (path: string, status: number, type: string, body: unknown) => {
      const escaped = [path, 'get', 'responses', String(status), 'content', type, 'schema'].map((part) =>
        encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))
      )
      const validate = ajv.compile({ $ref: `document#/paths/${escaped.join('/')}` })
      t.ok(validate(body), `${path} ${status} ${ajv.errorsText(validate.errors)}`)
    }
    let checked = 0
    for (const [path, operations] of Object.entries(document.paths)) {
      // One that does not end has tests of its own: test/e2e/events.test.ts.
      if (!operations.get || operations.get.operationId === 'follow_events') continue
      for (const xid of ['100', '101']) {
        if (path.includes('{pid}') && xid === '101') continue // nothing runs in it
        const url = path
          .replace('{xid}', xid)
          .replace('{field}', 'nodename')
          .replace('{pid}', String(path.startsWith('/contexts') ? initpid : process.pid))
        const reply = await daemon.get(url)
        t.equal(reply.status, 200, url)
        if (reply.body !== undefined) t.ok(reply.text.endsWith('\n'), `${url} ends with a newline`)
        check(path, reply.status, String(reply.headers['content-type']).split(';')[0] ?? '', reply.body ?? reply.text)
        checked++
      }
    }
    t.ok(checked >= 28, `${checked} replies`)

    for (const [path, url] of [
      ['/contexts/{xid}', '/contexts/999'],
      ['/contexts', '/contexts?limit=0'],
      ['/tasks/{pid}', '/tasks/x']
    ] as const) {
      const reply = await daemon.get(url)
      t.match(reply.headers['content-type'], /^application\/problem\+json/)
      t.ok(reply.text.endsWith('}\n'), 'a problem too')
      const validate = ajv.compile({ $ref: 'document#/components/schemas/Problem' })
      t.ok(validate(reply.body), `${path} ${ajv.errorsText(validate.errors)}`)
    }
  })
}

void t.test('what is declared is described, and no more: tags, headers, statuses', async (t) => {
  const { paths, tags } = await printed()
  const all = Object.values(paths).flatMap((path) => Object.values(path))
  t.same([...new Set(all.flatMap((operation) => operation.tags ?? []))].sort(), tags.map(({ name }) => name).sort())
  for (const { operationId, responses } of all)
    for (const [status, { description }] of Object.entries(responses))
      t.notMatch(description, /^(Default Response)?$/, `${operationId} ${status}`)
  const headersOf = (name: string) => {
    const { parameters = [], responses } = all.find(({ operationId }) => operationId === name) ?? { responses: {} }
    return [
      parameters.filter((parameter) => parameter.in === 'header').map((parameter) => parameter.name),
      Object.entries(responses).map(([status, { headers = {} }]) => [status, ...Object.keys(headers)].join(' '))
    ]
  }
  const problems = ['4XX Link Retry-After', '5XX Link Retry-After']
  t.same(headersOf('vx_create'), [['idempotency-key'], ['200', '201 ETag Location', ...problems]])
  t.same(headersOf('get_context'), [['if-none-match'], ['200 ETag', '304', ...problems]])
  t.same(headersOf('apply_context'), [
    ['if-match', 'if-none-match'],
    ['200 ETag', '201 ETag Location', ...problems]
  ])
  t.same(headersOf('follow_events'), [['last-event-id'], ['200', ...problems]])
})

const isUnsupported = ({ status, body }: Reply) => status === 422 && (body as { type: string }).type === 'unsupported'

void t.test('the examples of bodies work in namespaces too, but for what the host lacks', needsRoot(), async (t) => {
  const daemon = await TestDaemon.start('namespaces')
  t.teardown(() => daemon.cleanUp())
  const { paths, components } = await printed()
  let sent = 0
  for (const [path, operations] of Object.entries(paths))
    for (const [method, { requestBody }] of Object.entries(operations)) {
      const name = requestBody?.content['application/json']?.schema.$ref.split('/').pop() ?? ''
      for (const example of components.schemas[name]?.examples ?? []) {
        // Each meets a context in which an init runs.
        const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } })
        const url = path.replace('{xid}', String(guest.xid)).replace('{field}', 'nodename')
        const send = (query = '') => daemon.request(method.toUpperCase(), url + query, example)
        let reply = await send()
        // Such as every ccap, and limits where there is no controller for them.
        if (isUnsupported(reply)) reply = await send('?unsupported=record')
        t.ok(reply.status < 300, `${method} ${path} ${JSON.stringify(example)}: ${reply.status} ${reply.text}`)
        sent++
      }
    }
  t.ok(sent >= 16, `${sent} examples`)
})

/**
 * A client as its users write one: types made of the document, requests over the Unix socket. test/client.test.ts makes
 * contextd.ts beside it, compiles both and runs this; it prints what it has got.
 */
import createClient from 'openapi-fetch'
import { Agent, fetch, Request } from 'undici'
import type { components, Context, CreateContextRequest, Event, FlagName, paths, ProblemType } from './contextd.js'

const [socketPath = ''] = process.argv.slice(2)
const dispatcher = new Agent({ connect: { socketPath } })
// Node's own fetch has types of its own for the same.
const client = createClient<paths>({
  baseUrl: 'http://localhost',
  Request: Request as unknown as typeof globalThis.Request,
  fetch: ((request: Request) => fetch(request, { dispatcher })) as unknown as typeof globalThis.fetch
})

const xid = 100
const path = { xid }

function must<T>(what: string, value: T | undefined): T {
  if (value === undefined) throw new Error(`no ${what}`)
  return value
}

/** A line for each event; a type that the document has and this does not know is no valid TypeScript. */
function told(event: Event): string {
  switch (event.type) {
    case 'created':
      return `created ${event.name ?? ''}`
    case 'started':
      return `started ${event.init ? 'init' : 'process'}`
    case 'process_exited':
    case 'exited':
    case 'destroyed':
      return `${event.type} ${event.term_signal ?? event.exit_code ?? ''}`
    case 'oom':
      return `oom ${event.kills}`
    case 'changed':
      return `changed ${event.what}`
    case 'helper':
      return `helper ${event.action}`
    case 'paused':
    case 'resumed':
      return event.type
    case 'gap':
      return `gap ${event.reason}`
    default:
      return event satisfies never
  }
}

async function follow(): Promise<() => Promise<string[]>> {
  const { data } = await client.GET('/events', { params: { query: { xid: String(xid) } }, parseAs: 'stream' })
  const text = must('stream', data ?? undefined)
    .pipeThrough(new TextDecoderStream())
    .getReader()
  let unread = must('first message', (await text.read()).value)
  return async () => {
    const lines: string[] = []
    for (;;) {
      const messages = unread.split('\n\n')
      unread = messages.pop() ?? ''
      for (const message of messages) {
        const json = /^data: (.*)$/m.exec(message)?.[1]
        if (json === undefined) continue
        const event = JSON.parse(json) as Event
        lines.push(told(event))
        if (event.type !== 'destroyed') continue
        await text.cancel()
        return lines
      }
      unread += must('end of the context', (await text.read()).value)
    }
  }
}

const events = await follow()

const flags: FlagName[] = ['PERSISTENT']
const body: CreateContextRequest = {
  xid,
  name: 'web1',
  flags,
  uname: { nodename: 'web1' },
  init: { argv: ['sleep', '1000'] }
}
const creation = await client.POST('/contexts', { body, params: { header: { 'idempotency-key': 'once' } } })
const created = must('creation', creation.data)
if (!('state' in created)) throw new Error('this is no context')
const { state }: Pick<Context, 'state'> = created
const location = creation.response.headers.get('location')

const run = await client.POST('/contexts/{xid}/processes', {
  params: { path },
  body: { argv: ['hostname'], capture: true }
})
const captured = must('output', run.data)
if (!('stdout' in captured)) throw new Error('this is no capture')

const missing = await client.GET('/contexts/{xid}', { params: { path: { xid: 999 } } })
const problem: components['schemas']['Problem'] = must('problem', missing.error)
const isGone = problem.type === ('esrch' satisfies ProblemType)

const read = await client.GET('/contexts/{xid}', { params: { path } })
const etag = must('tag', read.response.headers.get('etag') ?? undefined)
const rename = (nodename: string) =>
  client.PATCH('/contexts/{xid}/uname', { params: { path, header: { 'if-match': etag } }, body: { nodename } })
const first = await rename('web2')
const second = await rename('web3')

const end = await client.DELETE('/contexts/{xid}', { params: { path, query: { signal: 'SIGKILL' } } })

console.log(
  JSON.stringify({
    creation: { status: creation.response.status, state, location },
    capture: { status: run.response.status, stdout: captured.stdout, exit_code: captured.exit_code },
    problem: { ...problem, isGone },
    conditional: [first.data?.changed, first.response.status, second.error?.type, second.response.status],
    end: end.response.status,
    events: await events()
  })
)
await dispatcher.close()

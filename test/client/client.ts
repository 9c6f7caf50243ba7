/**
 * A client as a user would write it: by the types that openapi-typescript makes of the document. test/client.test.ts
 * compiles it, strictly, against types made just then, and runs it against a daemon.
 */
import { Agent, fetch as undiciFetch, type RequestInit } from 'undici'
import createClient from 'openapi-fetch'
import type { components, paths } from './api.js'

type Schemas = components['schemas']

const [, , socketPath = ''] = process.argv
const dispatcher = new Agent({ connect: { socketPath } })
const fetch = (async (request: Request): Promise<Response> => {
  const headers: Record<string, string> = {}
  request.headers.forEach((value, name) => (headers[name] = value))
  const init: RequestInit = { method: request.method, headers, dispatcher }
  if (request.body !== null) init.body = await request.text()
  return (await undiciFetch(request.url, init)) as unknown as Response
}) as typeof globalThis.fetch
const api = createClient<paths>({ baseUrl: 'http://localhost', fetch })

const body: Schemas['CreateContextRequest'] = {
  xid: 100,
  name: 'web1',
  flags: ['PERSISTENT'] satisfies Schemas['FlagName'][],
  uname: { nodename: 'web1' }
}
const created = await api.POST('/contexts', { body })

const ran = await api.POST('/contexts/{xid}/processes', {
  params: { path: { xid: 100 } },
  body: { argv: ['hostname'], capture: true }
})
const output = ran.data !== undefined && 'stdout' in ran.data ? ran.data.stdout : undefined

const read = await api.GET('/contexts/{xid}', { params: { path: { xid: 100 } } })
const etag = read.response.headers.get('etag') ?? ''
const renamed = await api.PATCH('/contexts/{xid}/uname', {
  params: { path: { xid: 100 }, header: { 'if-match': etag } },
  body: { nodename: 'web2' }
})
const late = await api.PUT('/contexts/{xid}', {
  params: { path: { xid: 100 }, header: { 'if-match': '"another"' } },
  body: { name: 'web3' }
})
const missing = await api.GET('/contexts/{xid}', { params: { path: { xid: 999 } } })
const problem: Schemas['Problem'] | undefined = missing.error
const known: Schemas['ProblemType'] = 'esrch'

/** The first events of context 100, as the stream has them. */
async function events(count: number): Promise<Schemas['Event'][]> {
  const { response } = await api.GET('/events', {
    params: { query: { xid: '100', last_event_id: 'none' } },
    parseAs: 'stream'
  })
  const found: Schemas['Event'][] = []
  let text = ''
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    const lines = text.split('\n')
    found.length = 0
    for (const line of lines.slice(0, -1))
      if (line.startsWith('data: ')) found.push(JSON.parse(line.slice('data: '.length)) as Schemas['Event'])
    if (found.length >= count) break
  }
  return found.slice(0, count)
}
const told = (await events(5)).map((event) => (event.type === 'created' ? `created ${event.name ?? ''}` : event.type))

const status: (components['schemas']['Context']['state'] | undefined)[] = [
  (await api.GET('/contexts/{xid}', { params: { path: { xid: 100 } } })).data?.state
]
await api.DELETE('/contexts/{xid}', { params: { path: { xid: 100 }, query: { grace: 0 } } })
console.log(
  JSON.stringify({
    created: created.response.status,
    output,
    renamed: renamed.data?.changed,
    late: late.error?.type,
    problem: [problem?.status, problem?.type === known],
    told,
    status
  })
)
process.exit(0)

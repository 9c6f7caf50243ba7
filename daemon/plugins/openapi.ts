import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { version } from '../package.js'

/** The document is made of the routes' own schemas. Before the routes. */
export async function addOpenapi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'contextd',
        version,
        description:
          'Guest contexts over HTTP on a Unix socket. Every resource is one context command of libvserver. Errors are problem details (RFC 9457).',
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: '/', description: 'Over the Unix socket; the host name of the URL does not matter.' }],
      security: [],
      tags: [
        { name: 'contexts', description: 'Contexts and their life.' },
        { name: 'flags', description: 'VXF_* words.' },
        { name: 'bcaps', description: 'CAP_* words: what processes of the context may do at most.' },
        { name: 'ccaps', description: 'VXC_* words.' },
        { name: 'uname', description: 'Names that the guest sees.' },
        { name: 'limits', description: 'What the context may use at most.' },
        { name: 'processes', description: 'Processes of contexts, and what they write.' },
        { name: 'events', description: 'What happens to contexts, as it happens.' },
        { name: 'audit', description: 'Who did what.' },
        { name: 'daemon', description: 'The daemon itself.' }
      ]
    },
    hideUntagged: true,
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) =>
        typeof json.$id === 'string' ? json.$id : `def-${index}`
    }
  })
}

/** After the routes. */
export function addDocument(app: FastifyInstance): void {
  let text: string | undefined
  app.get('/openapi.json', { config: { action: 'read' }, schema: { hide: true } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger(), null, 2)
    void reply.type('application/json; charset=utf-8').send(text)
  })
}

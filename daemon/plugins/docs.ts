import swagger from '@fastify/swagger'
import { problemPage } from '../vocabulary/problems.js'
import { problemsPage } from './problems-page.js'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

/**
 * Its pages run their own scripts, ask this daemon, and are shown in no other page. Swagger UI sets styles of elements, and
 * has images in its style sheet.
 */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join('; '),
  'x-content-type-options': 'nosniff'
}

/**
 * /docs, the pages of @fastify/swagger-ui. They are an application of their own, made when somebody first asks for it:
 * few daemons are ever asked, and its modules would take a tenth of the time of every start.
 */
export function addDocs(app: FastifyInstance): void {
  let pages: Promise<FastifyInstance> | undefined
  const show = async ({ url, headers }: FastifyRequest, reply: FastifyReply) => {
    pages ??= makePages(app)
    const page = await (await pages).inject({ url, headers })
    if (page.statusCode === 404) {
      reply.callNotFound()
      return reply
    }
    return reply
      .code(page.statusCode)
      .headers({ ...page.headers, ...HEADERS })
      .send(page.rawPayload)
  }
  app.get(problemPage, { config: { action: 'read' }, schema: { hide: true } }, (_request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
      .send(problemsPage())
  )
  for (const url of ['/docs', '/docs/*']) app.get(url, { config: { action: 'read' }, schema: { hide: true } }, show)
}

async function makePages(app: FastifyInstance): Promise<FastifyInstance> {
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  const pages = Fastify()
  pages.setReplySerializer((payload) => `${JSON.stringify(payload)}\n`)
  await pages.register(swagger)
  await pages.register(swaggerUi, {
    routePrefix: '/docs',
    transformSpecification: () => app.swagger(),
    transformSpecificationClone: false
  })
  return pages
}

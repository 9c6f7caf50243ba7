import type { FastifyContextConfig, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    declared: FastifyContextConfig | undefined
  }
}

/** What the request's route declares. Fastify collects all options of a route at each look, so this looks once. */
export const declared = (request: FastifyRequest): FastifyContextConfig =>
  (request.declared ??= request.routeOptions.config)

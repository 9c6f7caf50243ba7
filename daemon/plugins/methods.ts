/** 405 with Allow for a known path and a method that it does not take, whatever that method is. */
import type { FastifyInstance } from 'fastify'
import { METHODS } from 'node:http'
import { Refusal } from '../refusal.js'

const ORDER = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Before the routes. */
export function addMethods(app: FastifyInstance): void {
  // Fastify answers others by itself, without a hook. CONNECT comes to no handler at all (node:http, Event: 'connect').
  for (const method of METHODS)
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: false })

  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })
  const patterns = new Map<string, RegExp>()
  app.addHook('onReady', (done) => {
    for (const url of methods.keys())
      patterns.set(
        url,
        new RegExp(
          `^${url
            .replace(/[.]/g, '\\.')
            .replace(/:[a-z]+/g, '[^/]+')
            .replace('*', '.*')}$`
        )
      )
    done()
  })
  app.decorate('refuseMethod', (method: string, path: string) => {
    for (const [url, pattern] of patterns) {
      if (!pattern.test(path)) continue
      const allow = ORDER.filter((name) => methods.get(url)?.has(name)).join(', ')
      return { allow, refusal: new Refusal(405, 'method', `${method} is not for ${url}; it takes ${allow}`) }
    }
    return undefined
  })
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Why there is no route for this, where the path has one for other methods. Once the application is ready. */
    refuseMethod(method: string, path: string): { allow: string; refusal: Refusal } | undefined
  }
}

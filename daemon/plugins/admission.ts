/** What one client can take from the others: requests a second, requests under way, and what is long under way. */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ServiceLimits } from '../admission/limits.js'
import type { AllSlots, Release, SlotKind } from '../admission/slots.js'
import { Refusal } from '../refusal.js'

declare module 'fastify' {
  interface FastifyInstance {
    slots: AllSlots
  }
  interface FastifyRequest {
    /** Gives back the slot of a request under way. */
    release: Release
  }
}

const SECOND_MS = 1000
const ROOT = 0
const nothing = () => undefined

/** After addPeers: every limit is the peer's. */
export async function addAdmission(app: FastifyInstance, slots: AllSlots, limits: ServiceLimits): Promise<void> {
  app.decorate('slots', slots)
  app.decorateRequest('release', nothing)

  app.addHook('onRequest', (request, reply, done) => {
    if (request.url.length > limits.urlLimit) {
      done(new Refusal(414, 'too-large', `the target is over ${limits.urlLimit} characters (--url-limit)`))
      return
    }
    try {
      const release = slots.requests.take(request.peer.uid)
      request.release = release
      reply.raw.once('close', release)
      done()
    } catch (error) {
      done(error as Refusal)
    }
  })

  if (limits.rateLimit === 0) return
  await app.register(rateLimit, {
    global: false,
    max: limits.rateLimit,
    timeWindow: SECOND_MS,
    keyGenerator: ({ peer }) => peer.uid,
    // They would be wrong by the time they are read.
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: ({ peer }) =>
      new Refusal(429, 'rate-limit', `uid ${peer.uid} asks over ${limits.rateLimit} times a second (--rate-limit)`)
  })
  const limiter = app.rateLimit() as (request: FastifyRequest, reply: FastifyReply) => Promise<void>
  app.addHook('onRequest', (request, reply, done) => {
    if (request.peer.uid === ROOT) {
      done()
      return
    }
    limiter(request, reply).then(() => {
      done()
    }, done)
  })
}

/**
 * For a request that stays: it is counted among those of its kind instead of those under way.
 * @returns to be called when it is over
 * @throws Refusal
 */
export function hold(request: FastifyRequest, kind: SlotKind): Release {
  const release = request.server.slots[kind].take(request.peer.uid)
  request.release()
  return release
}

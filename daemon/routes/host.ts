import { release } from 'node:os'
import { Refusal } from '../refusal.js'
import { ref } from '../schemas/common.js'
import { Health, Home, Ready, Version, Vocabulary } from '../schemas/host.js'
import { problems } from '../schemas/problem.js'
import { vocabularyOf } from '../contexts/vocabulary.js'
import { version } from '../package.js'
import { stoppingRefusal, type App, type Resources } from './types.js'

const tags = ['daemon']

/** /, /version, /vocabulary, /health and /ready. */
export function hostRoutes(app: App, { driver, passed, audit, stopping }: Resources): void {
  app.get('/', {
    config: { action: 'read' },
    schema: { summary: 'Where things are', operationId: 'get_home', tags, response: { 200: ref(Home), ...problems } },
    handler: async () => ({
      name: 'contextd',
      version,
      driver: driver.name,
      links: {
        contexts: '/contexts',
        events: '/events',
        vocabulary: '/vocabulary',
        version: '/version',
        health: '/health',
        ready: '/ready',
        metrics: '/metrics',
        openapi: '/openapi.json',
        docs: '/docs'
      }
    })
  })

  app.get('/version', {
    config: { action: 'read' },
    schema: {
      summary: 'What is running here',
      operationId: 'get_version',
      tags,
      response: { 200: ref(Version), ...problems }
    },
    handler: async () => ({
      version,
      driver: driver.name,
      about: driver.about,
      passed,
      bcaps_abi: driver.bcapsAbi,
      kernel: release(),
      node: process.version,
      pid: process.pid
    })
  })

  // Nothing in it changes while the daemon runs.
  const vocabulary = vocabularyOf(driver)
  app.get('/vocabulary', {
    config: { action: 'read' },
    schema: {
      summary: 'Every name, and how this driver treats it',
      operationId: 'get_vocabulary',
      tags,
      response: { 200: ref(Vocabulary), ...problems }
    },
    handler: async () => vocabulary
  })

  app.get('/health', {
    config: { action: 'read' },
    schema: {
      summary: 'Whether the daemon is alive',
      operationId: 'get_health',
      tags,
      response: { 200: ref(Health), ...problems }
    },
    handler: async () => ({ status: 'ok' as const })
  })

  app.get('/ready', {
    config: { action: 'read' },
    schema: {
      summary: 'Whether the daemon can do its work',
      description: 'The driver is tried and the audit log can be written; 503 `not-ready` says what is wrong.',
      operationId: 'get_ready',
      tags,
      response: { 200: ref(Ready), ...problems }
    },
    handler: async () => {
      if (stopping.aborted) throw stoppingRefusal()
      try {
        driver.probe()
      } catch (error) {
        throw new Refusal(503, 'not-ready', `${driver.name} driver: ${(error as Error).message}`)
      }
      const isAudited = audit.isWritable()
      if (!isAudited && audit.onFailure === 'refuse')
        throw new Refusal(503, 'not-ready', 'the audit log cannot be written; writes are refused')
      return {
        status: 'ready' as const,
        driver: driver.name,
        audit: isAudited ? ('ok' as const) : ('failing' as const)
      }
    }
  })
}

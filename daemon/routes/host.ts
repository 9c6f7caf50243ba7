import { release } from 'node:os'
import { ref } from '../schemas/common.js'
import { Health, Home, Version, Vocabulary } from '../schemas/host.js'
import { problems } from '../schemas/problem.js'
import { vocabularyOf } from '../contexts/vocabulary.js'
import { version } from '../version.js'
import type { App, Resources } from './types.js'

const tags = ['daemon']

/** /, /version, /vocabulary and /health. */
export function hostRoutes(app: App, { driver, passed }: Resources): void {
  app.get('/', {
    config: { action: 'read' },
    schema: { summary: 'Where things are', operationId: 'get_home', tags, response: { 200: ref(Home), ...problems } },
    handler: async () => ({
      name: 'contextd',
      version,
      driver: driver.name,
      links: {
        contexts: '/contexts',
        vocabulary: '/vocabulary',
        version: '/version',
        health: '/health',
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
}

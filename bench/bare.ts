/** A bare Fastify that answers constant objects: a process of its own, started by reads.ts, ends with it. */
import Fastify from 'fastify'
import { ref } from '../daemon/schemas/common.js'
import { Context } from '../daemon/schemas/context.js'
import { components } from '../daemon/schemas/index.js'
import { words } from '../daemon/schemas/word.js'

export interface BareOrder {
  socket: string
  context: object
  flags: object
}

process.on('disconnect', () => process.exit())
process.once('message', ({ socket, context, flags }: BareOrder) => {
  const app = Fastify()
  for (const schema of components) app.addSchema(schema)
  app.get('/contexts/:xid', { schema: { response: { 200: ref(Context) } } }, () => context)
  app.get('/contexts/:xid/flags', { schema: { response: { 200: ref(words.flags.Word) } } }, () => flags)
  app.listen({ path: socket }).then(
    () => process.send?.('ready'),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Idempotency } from '../contexts/idempotency.js'

/** An answer that can be given again. */
export interface Answer {
  status: number
  /** Of the body, where there is one. */
  json?: string | undefined
  headers?: Record<string, string>
  /** The context that it is about, where the path does not say. */
  xid?: number
}

/** In a string each character takes two bytes at most. */
const sizeOf = ({ json = '', headers = {} }: Answer) => 2 * (json.length + JSON.stringify(headers).length)

/** Does what a POST asks for, or gives the first answer again where its Idempotency-Key has been here already. */
export async function answerOnce(
  idempotency: Idempotency,
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<Answer>
): Promise<never> {
  const { headers, peer, url, body } = request
  const answer = await idempotency.run(headers['idempotency-key'], peer.uid, [url, body], work, sizeOf)
  if (answer.xid !== undefined) request.auditXid = answer.xid
  void reply.code(answer.status).headers(answer.headers ?? {})
  if (answer.json !== undefined) void reply.type('application/json; charset=utf-8')
  return reply.send(answer.json ?? null) as never
}

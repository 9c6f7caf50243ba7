/** Every error leaves as problem details (RFC 9457), with the errno and the call that failed. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Refusal } from '../contexts/refusal.js'
import { CallError } from '../drivers/errors.js'
import type { Problem } from '../schemas/problem.js'
import { VocabularyError } from '../vocabulary/word.js'

const UNPROCESSABLE = [
  'EINVAL',
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'E2BIG',
  'ENOEXEC',
  'EILSEQ',
  'ELIBBAD',
  'ETXTBSY'
]
const UNAVAILABLE = ['EAGAIN', 'ENOMEM', 'ENOSPC', 'EMFILE', 'ENFILE', 'EBUSY', 'EINTR', 'EDQUOT', 'ETIMEDOUT']

/** HTTP status of each errno; what is not here is the daemon's own failure. */
const statusOfErrno = new Map<string, number>([
  ['ESRCH', 404],
  ['EEXIST', 409],
  ['EFAULT', 409],
  ['EACCES', 403],
  ['EPERM', 403],
  ['ENOSYS', 501],
  ...UNPROCESSABLE.map((code) => [code, 422] as const),
  ...UNAVAILABLE.map((code) => [code, 503] as const)
])

const RETRY_AFTER_S = 1

function fromFastify(error: FastifyError): Problem {
  const known: Record<string, [number, string, string]> = {
    FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'media-type', 'send a body as content-type: application/json'],
    FST_ERR_CTP_BODY_TOO_LARGE: [413, 'too-large', 'the body is over 64 KiB'],
    FST_ERR_VALIDATION: [400, 'validation', error.message]
  }
  const [status, type, detail] = known[error.code] ?? [error.statusCode ?? 500, 'http', error.message]
  return status < 500
    ? { type, title: STATUS_CODES[status] ?? type, status, detail }
    : { type: 'internal', title: 'Internal Server Error', status: 500, detail: 'the daemon failed; its log says more' }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) {
    const { status, type, message, xid } = error
    return { type, title: STATUS_CODES[status] ?? type, status, detail: message, ...(xid !== undefined && { xid }) }
  }
  if (error instanceof VocabularyError)
    return { type: 'validation', title: 'Bad Request', status: 400, detail: error.message }
  if (error instanceof CallError) {
    const { code, call, detail } = error
    const status = statusOfErrno.get(code) ?? 500
    return { type: code.toLowerCase(), title: STATUS_CODES[status] ?? code, status, detail, errno: code, call }
  }
  return fromFastify(error as FastifyError)
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 503) void reply.header('retry-after', RETRY_AFTER_S)
  return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}

/** The context a request is about, by its path or else by its body. */
export function xidOf(request: FastifyRequest): number | undefined {
  for (const part of [request.params, request.body]) {
    const xid = (part as { xid?: unknown } | null | undefined)?.xid
    if (typeof xid === 'number') return xid
  }
  return undefined
}

export function addProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error)
    const xid = xidOf(request)
    if (problem.xid === undefined && xid !== undefined) problem.xid = xid
    if (problem.status >= 500)
      request.log.error({ err: error, method: request.method, url: request.url }, problem.detail)
    return sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, {
      type: 'not-found',
      title: 'Not Found',
      status: 404,
      detail: `there is no ${request.url.split('?')[0] ?? ''}`
    })
  )
}

/** Status of what is no HTTP request, by Node's error codes; 400 for the rest. */
const statusOfClientError: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

/** What never becomes a request still gets an answer. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = statusOfClientError[error.code ?? ''] ?? 400
  const title = STATUS_CODES[status] ?? 'Bad Request'
  const body = JSON.stringify({ type: 'http', title, status, detail: error.message })
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close'
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** Every error leaves as problem details (RFC 9457), with the errno and the call that failed. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { AuditUnwritable } from '../audit/log.js'
import { Refusal } from '../refusal.js'
import { CallError } from '../drivers/errors.js'
import { XID_MAX, XID_MIN } from '../drivers/rules.js'
import type { Problem } from '../schemas/problem.js'
import { errnos, problemPage, type ProblemName } from '../vocabulary/problems.js'
import { sentenceOf } from './sentence.js'
import { VocabularyError } from '../vocabulary/word.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request is answered with, when it fails. */
    problem: Problem | null
  }
}

/** HTTP status of each errno; what is not here is the daemon's own failure. */
const statusOfErrno = new Map(errnos.flatMap(({ status, codes }) => codes.map((code) => [code, status] as const)))

const RETRY_AFTER_S = 1

const TOO_LARGE = 'FST_ERR_CTP_BODY_TOO_LARGE'

function fromFastify(error: FastifyError): Problem {
  const known: Record<string, [number, ProblemName, string]> = {
    FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'media-type', 'send a body as content-type: application/json'],
    [TOO_LARGE]: [413, 'too-large', 'the body is too long (--body-limit)'],
    FST_ERR_VALIDATION: [400, 'validation', error.message]
  }
  const [status, type, detail] = known[error.code] ?? [error.statusCode ?? 500, 'http' as const, error.message]
  return status < 500
    ? { type, title: STATUS_CODES[status] ?? type, status, detail }
    : { type: 'internal', title: 'Internal Server Error', status: 500, detail: 'the daemon failed; its log says more' }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) {
    const { status, type, message, xid } = error
    return { type, title: STATUS_CODES[status] ?? type, status, detail: message, ...(xid !== undefined && { xid }) }
  }
  if (error instanceof AuditUnwritable)
    return {
      type: 'audit',
      title: 'Service Unavailable',
      status: 503,
      detail: `nothing was done: ${error.message}; see --audit-failure`
    }
  if (error instanceof VocabularyError)
    return { type: 'validation', title: 'Bad Request', status: 400, detail: error.message }
  if (error instanceof CallError) {
    const { code, call } = error
    const status = statusOfErrno.get(code) ?? (error.isHearsay ? 422 : 500)
    const detail = sentenceOf(error, status)
    return { type: code.toLowerCase(), title: STATUS_CODES[status] ?? code, status, detail, errno: code, call }
  }
  return fromSystem(error as NodeJS.ErrnoException) ?? fromFastify(error as FastifyError)
}

/** A call of Node's own that failed for what is short at the moment, such as descriptors: nobody's fault, and to be tried again. */
function fromSystem({ code, syscall, path }: NodeJS.ErrnoException): Problem | undefined {
  if (code === undefined || syscall === undefined || statusOfErrno.get(code) !== 503) return undefined
  return problemOf(new CallError(code, syscall, path ?? syscall))
}

/** Where the problem is explained (RFC 8288): `type` itself is a slug that clients compare. */
export const helpLink = ({ type }: Problem) => `<${problemPage}#${type}>; rel="help"`

const isForLater = ({ status }: Problem) => status === 503 || status === 429

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  reply.request.problem = problem
  if (isForLater(problem)) void reply.header('retry-after', RETRY_AFTER_S)
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .header('link', helpLink(problem))
    .send(JSON.stringify(problem))
}

/** The context in the path, before its validation too; undefined when there is none, or what is no xid. */
export function xidInPath({ params }: FastifyRequest): number | undefined {
  const { xid } = (params ?? {}) as { xid?: unknown }
  const number = typeof xid === 'string' && /^[1-9][0-9]{0,4}$/.test(xid) ? Number(xid) : xid
  return typeof number === 'number' && number >= XID_MIN && number <= XID_MAX ? number : undefined
}

/** The context a request is about, by its path or else by its body. */
export function xidOf(request: FastifyRequest): number | undefined {
  const inPath = xidInPath(request)
  if (inPath !== undefined) return inPath
  const { xid } = (request.body ?? {}) as { xid?: unknown }
  return typeof xid === 'number' ? xid : undefined
}

export function addProblems(app: FastifyInstance): void {
  app.decorateRequest('problem', null)
  app.setErrorHandler((error, request, reply) => {
    // Fastify would end the connection; what is left of the body goes to unread.ts.
    if ((error as FastifyError).code === TOO_LARGE && reply.raw.shouldKeepAlive)
      void reply.header('connection', 'keep-alive')
    const problem = problemOf(error)
    const xid = xidOf(request)
    if (problem.xid === undefined && xid !== undefined) problem.xid = xid
    // That the audit log cannot be written is logged once, by the log itself.
    // What can be tried again is no failure of the daemon, and what fails because its client has hung up is none at all.
    if (problem.status >= 500 && !(error instanceof AuditUnwritable) && !reply.raw.destroyed)
      request.log[problem.status === 503 ? 'warn' : 'error'](
        { request_id: request.id, err: error, method: request.method, url: request.url },
        problem.detail
      )
    return sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?')
    const other = app.refuseMethod(request.method, path)
    if (other) void reply.header('allow', other.allow)
    return sendProblem(
      reply,
      problemOf(
        other?.refusal ?? new Refusal(404, 'not-found', `there is no ${path} here; GET / says where things are`)
      )
    )
  })
}

/** Status of what is no HTTP request, by Node's error codes; 400 for the rest. */
const statusOfClientError: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408
}

/** What never becomes a request, or has not become one in time, still gets an answer. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = statusOfClientError[error.code ?? ''] ?? 400
  const detail = `what came is no HTTP request that can be answered: ${error.message}; the connection ends here`
  answerAndClose(socket, { type: 'http', title: STATUS_CODES[status] ?? 'Bad Request', status, detail })
}

/** How long a client that is told may go on to send, ms: it reads the answer only after what it has to say. */
const LINGER_MS = 500

/** The answer to a connection, whatever comes by it. A client need not ever close its end. */
export function answerAndClose(socket: Socket, problem: Problem): void {
  const body = `${JSON.stringify(problem)}\n`
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    `link: ${helpLink(problem)}`,
    ...(isForLater(problem) ? [`retry-after: ${RETRY_AFTER_S}`] : [])
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => {
    clearTimeout(timer)
  })
}

/** What comes as text is UTF-8, whole and without NUL, in bodies and in targets: nothing is rewritten silently. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { invalid, Refusal } from '../refusal.js'

/** Neither a replacement for what is no UTF-8, nor a byte order mark taken away. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const LONE_SURROGATE = /\p{Surrogate}/u
/** What such a string is written as in JSON: every other way is no UTF-8, or no JSON. */
const SUSPECT = /\\u(?:0000|d[89a-f])/i

function refuseMedia({ headers }: FastifyRequest): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1]
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new Refusal(415, 'media-type', `a body is UTF-8, not ${charset}; send it as content-type: application/json`)
  const encoding = headers['content-encoding']
  if (encoding !== undefined && !/^(?:identity)?$/i.test(encoding.trim()))
    throw new Refusal(415, 'media-type', `a body is sent as it is, without content-encoding: ${encoding}`)
}

/** @throws Refusal naming the place of a string that no system call would take, or that is no text */
function checkStrings(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw invalid(path, 'has a NUL character, which would end it in every system call')
    if (LONE_SURROGATE.test(value)) throw invalid(path, 'has half of a surrogate pair, which is no character')
  } else if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value)) {
      checkStrings(key, path)
      checkStrings(inner, `${path}.${key}`)
    }
}

/** JSON numbers in exponent notation are integers to JSON.parse; here every number is written in digits. */
function refuseExponents(text: string): void {
  if (/[0-9][eE]/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, '""')))
    throw new Refusal(400, 'validation', 'numbers are written in plain digits, without an exponent')
}

function bodyOf(request: FastifyRequest, bytes: Buffer): unknown {
  refuseMedia(request)
  if (bytes.length === 0) return undefined
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw new Refusal(400, 'invalid-json', 'the body is no UTF-8; send JSON text in that encoding')
  }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw new Refusal(400, 'invalid-json', `the body is no JSON: ${(error as Error).message}`)
  }
  refuseExponents(text)
  if (SUSPECT.test(text)) checkStrings(body, 'body')
  return body
}

/** A target as it is: percent-encoded UTF-8, and nothing but ASCII around it. */
function refuseTarget(url: string): void {
  if (/[^!-~]/.test(url)) throw new Refusal(400, 'http', 'a target is ASCII; write other characters percent-encoded')
  if (!url.includes('%')) return
  let text: string
  try {
    text = decodeURIComponent(url)
  } catch {
    throw new Refusal(400, 'http', 'the target has a % that begins no percent-encoded UTF-8')
  }
  if (text.includes('\0'))
    throw new Refusal(400, 'validation', 'the target has a NUL character, which no name may have')
}

export function addText(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    refuseTarget(request.url)
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    try {
      done(null, bodyOf(request, bytes))
    } catch (error) {
      done(error as Error)
    }
  })
}

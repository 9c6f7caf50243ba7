/**
 * Who is meant by a request, and whose page sends it. A port that is forwarded to the socket can be reached by a browser,
 * and then by every page in it: by a name of its own that resolves to that port (DNS rebinding), or across sites.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Refusal } from '../refusal.js'

/** `NAME`, `NAME:PORT`, `[ADDRESS]:PORT`: the host of RFC 9110, 7.2. */
const HOST = /^(?<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@?#\s]*)(?::\d{0,5})?$/
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:127(?:\.\d{1,3}){3}\])$/i

/**
 * Before anything else is asked of a request but who sends it.
 * @param allowed names beside those that no name server of others can give out: without a dot, and addresses of loopback
 */
export function addHosts(app: FastifyInstance, allowed: readonly string[]): void {
  const names = new Set(allowed.map((name) => name.toLowerCase()))

  function refusalOf({ raw, headers }: FastifyRequest): Refusal | undefined {
    const hosts = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length
    if (hosts > 1) return new Refusal(400, 'http', `the request has ${hosts} Host headers; send one`)
    const { host } = headers
    if (host === undefined)
      return raw.httpVersion === '1.1'
        ? new Refusal(400, 'http', 'a request of HTTP/1.1 has a Host header, and this one has none; send one')
        : undefined
    const name = HOST.exec(host)?.groups?.name?.toLowerCase()
    if (name === undefined) return new Refusal(400, 'http', `the Host header is no host: ${shown(host)}`)
    const isOurs = !/[.[]/.test(name) || LOOPBACK.test(name) || names.has(name)
    if (!isOurs)
      return new Refusal(
        421,
        'host',
        `this daemon is not ${shown(name)}; ask it as localhost, or start it with --allowed-host ${shown(name)}`
      )
    return foreignPage(headers, host)
  }

  app.addHook('onRequest', (request, _reply, done) => {
    done(refusalOf(request))
  })
}

/** What browsers say of the page that sends a request (the Fetch standard, Fetch metadata). */
function foreignPage(headers: FastifyRequest['headers'], host: string): Refusal | undefined {
  const { origin, 'sec-fetch-site': site } = headers
  if (origin !== undefined && originHost(origin) !== host.toLowerCase())
    return new Refusal(403, 'origin', `a page of ${shown(origin)} may not ask this daemon; only its own pages may`)
  if (site === undefined || site === 'same-origin' || site === 'none') return undefined
  return new Refusal(
    403,
    'origin',
    `a page of another site may not ask this daemon (Sec-Fetch-Site: ${shown(site)}); only its own pages may`
  )
}

const originHost = (origin: string) => /^https?:\/\/([^/]+)$/i.exec(origin)?.[1]?.toLowerCase()

const SHOWN_MAX = 100
const shown = (text: string) => (text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text)

/** What a problem says is a sentence: what was tried, why it failed, what to do. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { CallError } from '../../daemon/drivers/errors.js'
import { problemOf } from '../../daemon/plugins/problems.js'
import { errnos, problemKinds } from '../../daemon/vocabulary/problems.js'
import { TestDaemon } from '../support/daemon.js'
import { answerTo } from '../support/raw-http.js'

void t.test('the path of a call that failed is never all that is said', (t) => {
  const cases = [
    ['ENOENT', 'openat2', '/srv/no guest', /^openat2 of \/srv\/no guest failed: no such file or directory; ask again/],
    ['ELOOP', 'openat2', '/srv/link', /^openat2 of \/srv\/link failed: too many symbolic links encountered; /],
    ['EMFILE', 'open', '/proc/1/status', /^open of \/proc\/1\/status failed: too many open files; try again later$/],
    ['EINVAL', 'vserver', '', /^vserver failed: invalid argument; /],
    ['ENOENT', 'execve', 'nothing', /^execve of nothing failed: no such file or directory; /],
    ['ESRCH', 'vx_info', 'there is no context 7', /^there is no context 7$/],
    ['ENOENT', 'mkdir', '/x is not inside a cgroup2 mount', /^\/x is not inside a cgroup2 mount$/]
  ] as const
  for (const [code, call, detail, wanted] of cases)
    t.match(problemOf(new CallError(code, call, detail)), { errno: code, call, detail: wanted })
  t.end()
})

void t.test('every refusal of a daemon is a sentence', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const answers = [
    await daemon.post('/contexts', { root: '/nowhere' }),
    await daemon.post('/contexts', { init: { argv: ['/nowhere'] } }),
    await daemon.post('/contexts', undefined, { raw: '{' }),
    await daemon.get('/contexts/7'),
    await daemon.get('/nothing'),
    await daemon.get('/contexts/%zz'),
    await daemon.request('TRACE', '/contexts'),
    await answerTo(t, daemon.socket, 'nonsense\r\n\r\n')
  ]
  for (const { status, body } of answers) {
    const { detail } = body as { detail: string }
    t.ok(status >= 400 && detail.split(/\s+/).length >= 4, detail)
    t.notMatch(detail, /^\/\S*$/)
  }
})

/** First two cells of each row of the table in SPECIFICATION.md that has this head. */
function tableOf(head: RegExp): [names: string[], statuses: number[]][] {
  const text = readFileSync(fileURLToPath(new URL('../../../SPECIFICATION.md', import.meta.url)), 'utf8')
  const lines = text.split('\n')
  const rows = lines.slice(lines.findIndex((line) => head.test(line)) + 2)
  return rows.slice(0, rows.indexOf('')).map((row) => {
    const [, names = '', statuses = ''] = row.split('|')
    return [names.trim().split(', '), statuses.match(/\d+/g)?.map(Number) ?? []]
  })
}
const each = (rows: (readonly [readonly string[], readonly number[]])[]) =>
  rows.flatMap(([names, statuses]) => names.map((name) => `${name} ${statuses.join(' ')}`)).sort()

void t.test('SPECIFICATION.md names the same kinds of problems and errnos, with their statuses', (t) => {
  const kinds = Object.entries(problemKinds).map(([name, { statuses }]) => [[name], statuses] as const)
  t.same(each(tableOf(/^\| type +\| status +\| meaning/)), each(kinds))
  t.same(each(tableOf(/^\| errno +\| status/)), each(errnos.map(({ codes, status }) => [codes, [status]])))
  t.end()
})

void t.test('the Link of a problem leads to the place of /docs that explains it', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  const problems = [
    await daemon.get('/contexts/7'),
    await daemon.get('/nothing'),
    await daemon.get('/', { headers: { host: 'example.org' } }),
    await daemon.get('/', { headers: { expect: 'something' } })
  ]
  t.same(
    problems.map(({ body }) => (body as { type: string }).type),
    ['esrch', 'not-found', 'host', 'http']
  )
  const page = await daemon.get('/docs/problems')
  t.match(page, { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
  for (const { body, headers } of problems) {
    const { type } = body as { type: string }
    t.equal(headers.link, `</docs/problems#${type}>; rel="help"`)
    t.match(page.text, `<tr id="${type}">`)
  }
  for (const type of [...Object.keys(problemKinds), ...errnos.flatMap(({ codes }) => codes)])
    t.match(page.text, `<tr id="${type.toLowerCase()}">`)
})

/** Which hosts are ours, and whose pages may ask. */
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { answerTo } from '../support/raw-http.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory', {
    args: ['--allowed-host', 'Panel.Example', '--allowed-host', 'b.example']
  })
  await daemon.post('/contexts', { xid: 100 })
})
t.teardown(() => daemon.cleanUp())

const asked = (host: string, more: Record<string, string> = {}) =>
  daemon.get('/contexts/100', { headers: { host, ...more } })

void t.test('a name without a dot, an address of loopback and an allowed name are ours', async (t) => {
  const ours = [
    'localhost',
    'd',
    'localhost:8080',
    '127.0.0.1',
    '127.9.9.9:80',
    '[::1]',
    '[::1]:1',
    'panel.example',
    ''
  ]
  for (const host of [...ours, 'PANEL.example:443', 'b.example']) t.equal((await asked(host)).status, 200, host)
})

void t.test('any other is misdirected, whatever it asks for', async (t) => {
  const others = [
    'evil.example',
    'localhost.evil.example',
    'localhost.',
    '192.0.2.1',
    '[2001:db8::1]',
    'x.panel.example'
  ]
  for (const host of [...others, '127.0.0.1.evil.example', '1127.0.0.1', '127.0.0.1.']) {
    const reply = await asked(host)
    t.match(reply, { status: 421, body: { type: 'host', detail: /--allowed-host/ } }, host)
  }
  const gone = await daemon.delete('/contexts/100', { headers: { host: 'evil.example' } })
  t.equal(gone.status, 421)
  t.equal((await asked('localhost')).status, 200, 'it is there still')
  for (const path of ['/docs', '/openapi.json', '/nothing', '/health'])
    t.equal((await daemon.get(path, { headers: { host: 'evil.example' } })).status, 421, path)
})

void t.test('a page of another site is refused, one of our own and what is no page are not', async (t) => {
  const foreign: Record<string, string>[] = [
    { origin: 'http://evil.example' },
    { origin: 'http://localhost:3000' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'http://localhost:8080', 'sec-fetch-site': 'cross-site' }
  ]
  for (const headers of foreign)
    t.match(await asked('localhost:8080', headers), { status: 403, body: { type: 'origin' } }, JSON.stringify(headers))
  const own: Record<string, string>[] = [
    { origin: 'http://localhost:8080' },
    { origin: 'https://localhost:8080', 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' }
  ]
  for (const headers of own) t.equal((await asked('localhost:8080', headers)).status, 200, JSON.stringify(headers))
  t.match(daemon.audit().at(-1), { path: '/contexts/100', status: 403, problem: 'origin' }, 'it is a denial')
})

void t.test('two Host headers, none and one that is no host are problems', async (t) => {
  const of = (head: string) => answerTo(t, daemon.socket, `GET /health ${head}\r\nconnection: close\r\n\r\n`)
  const cases = [
    ['HTTP/1.1\r\nhost: localhost\r\nHost: localhost', /2 Host headers/],
    ['HTTP/1.1\r\nhost: localhost\r\nhost: evil.example', /2 Host headers/],
    ['HTTP/1.1', /has none/],
    ['HTTP/1.1\r\nhost: a b', /no host/],
    ['HTTP/1.1\r\nhost: user@localhost', /no host/]
  ] as const
  for (const [head, detail] of cases) t.match(await of(head), { status: 400, body: { type: 'http', detail } }, head)
  t.equal((await of('HTTP/1.0')).status, 200, 'HTTP/1.0 has none')
})

void t.test('an unknown Expect is a problem', async (t) => {
  const head = 'POST /contexts HTTP/1.1\r\nhost: d\r\nexpect: a-miracle\r\ncontent-length: 2\r\n\r\n{}'
  const answer = await answerTo(t, daemon.socket, head)
  t.match(answer, { status: 417, head: /application\/problem\+json/, body: { type: 'http', detail: /a-miracle/ } })
})

void t.test('pages are shown in no frame, and run and ask nothing that is not ours', async (t) => {
  for (const path of ['/docs', '/docs/', '/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-initializer.js']) {
    const reply = await daemon.get(path)
    t.match(reply, { status: 200, headers: { 'x-content-type-options': 'nosniff' } }, path)
    const policy = String(reply.headers['content-security-policy'])
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
      t.match(policy, part, path)
  }
  const page = await daemon.get('/docs/')
  t.notMatch(page.text, /<script(?![^>]* src=)|<style|\son[a-z]+=/i, 'the policy forbids scripts within the page')
})

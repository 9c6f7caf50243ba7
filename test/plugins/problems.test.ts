/** What a problem says is a sentence: what was tried, why it failed, what to do. */
import t from 'tap'
import { CallError } from '../../daemon/drivers/errors.js'
import { problemOf } from '../../daemon/plugins/problems.js'
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

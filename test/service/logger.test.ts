/** The daemon's own log: JSON lines, priorities for the journal, readable lines on a terminal, and ids of requests. */
import { spawn } from 'node:child_process'
import { fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { folder } from '../audit/support.js'
import { curl, end, serving } from '../support/command.js'
import { mainPath, TestDaemon } from '../support/daemon.js'
import { until } from '../support/poll.js'

void t.test('every answer names its request, as the log, the audit log and events do', async (t) => {
  const daemon = await TestDaemon.start('memory', { args: ['--log-level', 'debug'] })
  t.teardown(() => daemon.cleanUp())
  const replies = [
    await daemon.post('/contexts', { xid: 100 }),
    await daemon.get('/contexts/101'),
    await daemon.get('/nowhere'),
    await daemon.request('PATCH', '/health')
  ]
  const ids = replies.map(({ headers }) => headers['x-request-id'])
  t.equal(new Set(ids).size, replies.length)
  for (const id of ids) t.match(id, /^[\w-]{8}-[0-9a-z]+$/)
  t.match(daemon.audit()[0], { request_id: ids[0] })
  const lines = () =>
    daemon.stderr.split('\n').flatMap((line) => (line ? [JSON.parse(line) as { request_id?: string }] : []))
  const made = await until('it is logged', () => lines().find(({ request_id }) => request_id === ids[0]))
  t.match(made, {
    level: 'debug',
    method: 'POST',
    url: '/contexts',
    uid: process.getuid?.(),
    status: 201,
    msg: 'request'
  })
  const before = ids[0]?.slice(0, 8)
  await daemon.stop()
  await daemon.boot()
  t.not((await daemon.get('/health')).headers['x-request-id']?.slice(0, 8), before, 'no later daemon gives them again')
})

void t.test('lines that go to the journal begin with their priority', async (t) => {
  const directory = folder(t)
  const path = join(directory, 'journal')
  const fd = openSync(path, 'w')
  const { dev, ino } = fstatSync(fd)
  const socket = join(directory, 'socket')
  const daemon = spawn(
    process.execPath,
    [mainPath, 'serve', '--driver', 'memory', '--socket', socket, '--audit-log', join(directory, 'audit.log')],
    { stdio: ['ignore', 'ignore', fd], env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` } }
  )
  t.teardown(() => end(daemon))
  const written = () => readFileSync(path, 'utf8').trimEnd().split('\n')
  await until('it has started', () => written().length >= 2)
  t.match(written()[0], /^<6>\{"level":"info",.*"msg":"listening"\}$/)
  t.match(written()[1], /^<4>\{"level":"warn",.*memory driver/)
})

void t.test('elsewhere they do not, whatever the environment says', async (t) => {
  const directory = folder(t)
  const args = [
    '--driver',
    'memory',
    '--socket',
    join(directory, 'socket'),
    '--audit-log',
    join(directory, 'audit.log')
  ]
  const daemon = serving(args, { env: { ...process.env, JOURNAL_STREAM: '1:2' } })
  t.teardown(() => end(daemon))
  await until('it has started', () => daemon.output().includes('listening'))
  t.match(daemon.output(), /^\{"level":"info"/)
})

void t.test('on a terminal they are for people', async (t) => {
  const directory = folder(t)
  const socket = join(directory, 'socket')
  const command = `exec ${process.execPath} ${mainPath} serve --driver memory --socket ${socket} --audit-log ${directory}/audit.log`
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => end(terminal))
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
  await until('it has started', () => shown.includes('memory driver'))
  t.match(shown, /INFO.*listening/)
  t.notMatch(shown, /"msg":/)
  t.equal((await curl(socket, 'GET', '/health')).status, 200)
})

void t.test('a reader of the log that is stuck stops no request', async (t) => {
  const directory = folder(t)
  const socket = join(directory, 'socket')
  const args = ['serve', '--driver', 'memory', '--socket', socket, '--audit-log', join(directory, 'audit.log')]
  const daemon = spawn(process.execPath, [mainPath, ...args, '--log-level', 'debug'], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  t.teardown(() => end(daemon, 'SIGKILL'))
  daemon.stderr.pause() // a pipe has room for 64 KiB
  await until('it answers', async () => (await curl(socket, 'GET', '/health').catch(() => undefined))?.status === 200)
  const path = `/contexts/100?${'x'.repeat(3000)}`
  for (let count = 0; count < 100; count++) t.equal((await curl(socket, 'GET', path)).status, 400)
})

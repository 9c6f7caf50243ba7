/** The command: help, usage errors, settings and where they come from. */
import { execFile, spawn } from 'node:child_process'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { version } from '../daemon/package.js'
import { asUser, contextd, curl, end, run, serving } from './support/command.js'
import { mainPath } from './support/daemon.js'
import { folder } from './support/folder.js'
import { matches } from './support/matches.js'
import { until } from './support/poll.js'
import { needsRoot } from './support/proc.js'

/** The test's own environment without settings of the daemon. */
const bare = (more: NodeJS.ProcessEnv = {}) =>
  Object.fromEntries([
    ...Object.entries(process.env).filter(([name]) => !name.startsWith('CONTEXTD_')),
    ...Object.entries(more)
  ])

void t.test('--help names every command, and serve --help every setting', async (t) => {
  const { code, stdout, stderr } = await contextd(['--help'])
  t.same([code, stderr], [0, ''])
  for (const word of ['serve', 'openapi', '--version']) t.match(stdout, word)
  const serve = await contextd(['serve', '--help'])
  t.same([serve.code, serve.stderr], [0, ''])
  const flags = [
    '--socket',
    '--driver',
    '--audit-log',
    '--log-level',
    '--cgroup-root',
    '--config',
    '--dev',
    'CONTEXTD_SOCKET'
  ]
  for (const flag of [...flags, 'auto, vserver, namespaces, memory', '/run/contextd/contextd.sock'])
    t.match(serve.stdout, flag)
})

void t.test('--version is the version of the package and nothing else', async (t) => {
  t.same(await contextd(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

void t.test('bad usage exits with 2, says what is wrong and where help is', async (t) => {
  const cases = [
    [[], /which command/],
    [['serv'], /unknown command "serv"/],
    [['toString'], /unknown command/],
    [['serve', '--sockt', '/x'], /--sockt/],
    [['serve', '--socket'], /--socket/],
    [['serve', '--socket='], /socket needs a value/],
    [['serve', '--driver', 'docker'], /driver is one of auto, vserver, namespaces, memory, not "docker"/],
    [['serve', '--log-level', 'loud'], /log-level is one of/],
    [['serve', 'extra'], /extra/],
    [['serve', '--dev=yes'], /--dev/],
    [['openapi', '--format', 'yaml'], /--format/]
  ] as const
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await contextd([...args], { env: bare() })
    t.equal(code, 2, args.join(' '))
    t.match(stderr, message)
    t.match(stderr, /contextd --help/)
    t.equal(stdout, '')
    t.notMatch(stderr, /\n {4}at /, 'no stack')
  }
})

void t.test('a bad value in the environment is bad usage too', async (t) => {
  const { code, stderr } = await contextd(['serve'], { env: bare({ CONTEXTD_DRIVER: 'docker' }) })
  t.equal(code, 2)
  t.match(stderr, /driver is one of/)
})

void t.test('a start that fails exits with 1 and says why', async (t) => {
  const directory = folder(t)
  const common = ['--socket', join(directory, 'x.sock'), '--audit-log', join(directory, 'audit.log')]
  const vserver = await contextd(['serve', '--driver', 'vserver', ...common], { env: bare() })
  t.equal(vserver.code, 1)
  t.match(vserver.stderr, /^contextd: .*vserver/)
  const outside = await contextd(['serve', '--driver', 'namespaces', '--cgroup-root', directory, ...common], {
    env: bare()
  })
  t.equal(outside.code, 1)
  t.match(outside.stderr, process.getuid?.() === 0 ? /is not inside a cgroup2 mount/ : /root/)
  t.notOk(existsSync(join(directory, 'x.sock')))
})

void t.test('why it failed comes first, its errno and call last', async (t) => {
  const directory = folder(t)
  const at = (name: string) => join(directory, name)
  writeFileSync(at('file'), '')
  const start = (args: string[]) => contextd(['serve', ...args], { env: bare() })
  const memory = ['--driver', 'memory']
  const cases = [
    [
      ['--driver', 'vserver', '--socket', at('x.sock'), '--audit-log', at('audit.log'), '--log-dir', at('log')],
      /^contextd: Linux \S+ is no Linux-VServer kernel.* \(vserver: ENOSYS\)\n$/
    ],
    [
      [...memory, '--socket', at('x.sock'), '--audit-log', at('file/audit.log')],
      /^contextd: \S+\/file\S*: .+ \(\w+: (ENOTDIR|EEXIST)\)\n$/
    ],
    [
      [...memory, '--socket', at('file/x.sock'), '--audit-log', at('audit.log')],
      /^contextd: \S+\/file\S*: .+ \(\w+: (ENOTDIR|EEXIST)\)\n$/
    ],
    [
      [...memory, '--socket', `${at('x.sock')},group=no-such-group`, '--audit-log', at('audit.log')],
      /^contextd: socket \S+: there is no group "no-such-group"\n$/
    ]
  ] as const
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await start([...args])
    t.same([code, stdout], [1, ''])
    t.match(stderr, message)
  }
})

void t.test('who is not root is told that it takes root, and what does not', needsRoot(), async (t) => {
  const directory = folder(t)
  chmodSync(directory, 0o755)
  const [file, ...args] = [...asUser(65534), process.execPath, mainPath, 'serve', '--driver', 'memory']
  const { code, stderr } = await run(file, [...args, '--socket', join(directory, 'x.sock')], { env: bare() })
  t.equal(code, 1)
  t.match(stderr, /^contextd: \S+: permission denied \(open: EACCES\)\ncontextd serve needs root; 'npm start' .*\n$/)
})

/** Serves until the socket is there, then ends. */
async function servesAt(
  t: Test,
  socket: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
  cwd?: string
): Promise<void> {
  const daemon = serving(args, { env: bare(env), ...(cwd !== undefined && { cwd }) })
  t.teardown(() => end(daemon, 'SIGKILL'))
  await until(`${socket} answers: ${daemon.output()}`, async () => {
    if (daemon.exitCode !== null) throw new Error(daemon.output())
    return existsSync(socket) && (await curl(socket, 'GET', '/health').catch(() => undefined))?.status === 200
  })
  t.match(await curl(socket, 'GET', '/version'), { body: { driver: 'memory', pid: daemon.pid } })
  const ended = until('it ends', () => daemon.exitCode !== null)
  daemon.kill('SIGTERM')
  await ended
  t.equal(daemon.exitCode, 0)
}

void t.test('a flag wins over the environment, and that over the file', async (t) => {
  const directory = folder(t)
  const at = (name: string) => join(directory, name)
  writeFileSync(
    at('config.json'),
    JSON.stringify({ socket: at('file.sock'), driver: 'memory', audit_log: at('audit.log') })
  )
  const config = ['--config', at('config.json')]
  await servesAt(t, at('file.sock'), config)
  await servesAt(t, at('variable.sock'), config, { CONTEXTD_SOCKET: at('variable.sock') })
  await servesAt(t, at('flag.sock'), [...config, '--socket', at('flag.sock')], { CONTEXTD_SOCKET: at('variable.sock') })
  t.ok(existsSync(at('audit.log')), 'what no other place sets comes from the file')
})

void t.test('a config file that is not understood is bad usage', async (t) => {
  const path = join(folder(t), 'config.json')
  const cases = [
    ['{"sockt":"/x"}', /unknown key "sockt"; known: socket, driver/],
    ['{"socket":7}', /socket is not a string/],
    ['{"driver":"docker"}', /driver is one of/],
    ['[]', /not an object/],
    ['null', /not an object/],
    ['{', /config\.json/]
  ] as const
  for (const [text, message] of cases) {
    writeFileSync(path, text)
    const { code, stderr } = await contextd(['serve', '--config', path], { env: bare() })
    t.equal(code, 2, text)
    t.match(stderr, message)
  }
  const missing = await contextd(['serve', '--config', `${path}.not`], { env: bare() })
  t.equal(missing.code, 2)
  t.match(missing.stderr, /ENOENT/)
})

void t.test('--dev serves ./run/contextd.sock and prints curl lines that work as printed', async (t) => {
  const directory = folder(t)
  const args = [mainPath, 'serve', '--dev', '--driver', 'memory']
  const daemon = spawn(process.execPath, args, { cwd: directory, env: bare(), stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => end(daemon, 'SIGKILL'))
  let printed = ''
  daemon.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  const lines = await until('three lines', () => {
    const found = printed.match(/^ *curl .*$/gm) ?? []
    return found.length === 3 ? found : undefined
  })
  const answers = []
  for (const line of lines)
    answers.push(
      await new Promise<unknown>((resolve) => {
        execFile('/bin/sh', ['-c', line], (_error, stdout) => {
          resolve(JSON.parse(stdout))
        })
      })
    )
  matches(t, answers, [
    { driver: 'memory' },
    { xid: 100, name: 'web1', changed: ['created'] },
    { stdout: 'web1\n', exit_code: 0 }
  ])
  t.ok(existsSync(join(directory, 'run', 'audit.log')))
  t.match(printed, /model/, 'and says that nothing real runs')
})

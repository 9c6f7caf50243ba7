/** What a service manager passes and hears, without one: sockets of the test's own in its place. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { curl, end, run } from '../support/command.js'
import { mainPath } from '../support/daemon.js'
import { folder } from '../support/folder.js'
import { until } from '../support/poll.js'

/** Prints each datagram that comes to a Unix socket, then a line with a dot. */
const listener = `use Socket; $| = 1;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die $!;
my $name = $ARGV[0]; $name =~ s/^@/\\0/;
bind($s, pack_sockaddr_un($name)) or die $!;
print "bound\\n";
while (defined recv($s, my $m, 65536, 0)) { print "$m\\n.\\n" }`

async function manager(t: Test, address: string): Promise<() => string[]> {
  const child = spawn('perl', ['-e', listener, address], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => end(child))
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await until('it listens', () => text.startsWith('bound\n'))
  return () => text.slice('bound\n'.length).split('\n.\n').slice(0, -1)
}

interface Started {
  socket: string
  child: ChildProcess
  output: () => string
  ended: Promise<unknown>
}

/** Starts a daemon as a manager does, with LISTEN_PID its own. */
function start(t: Test, env: NodeJS.ProcessEnv): Started {
  const directory = folder(t)
  const socket = join(directory, 'socket')
  const serve = ['serve', '--driver', 'memory', '--socket', socket, '--audit-log', join(directory, 'audit.log')]
  const child = spawn(
    'sh',
    ['-c', 'export LISTEN_PID=${PASS_TO:-$$}; exec "$0" "$@"', process.execPath, mainPath, ...serve],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env }
    }
  )
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  t.teardown(() => end(child, 'SIGKILL'))
  return { child, output: () => text, ended: once(child, 'exit'), socket }
}

/**
 * A manager: listens at the paths without taking connections, passes the sockets to a command from descriptor 3 on, says
 * its pid, how it has ended, and then of each socket that a connection has come.
 */
const activator = `use Socket; $| = 1; $^F = 255;
my @sockets;
for (split /:/, shift) {
  socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die $!;
  bind($s, pack_sockaddr_un($_)) && listen($s, 16) or die $!;
  push @sockets, $s;
}
my $pid = fork;
if (!$pid) { $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = @sockets; exec @ARGV }
print "$pid\\n";
waitpid $pid, 0;
print "ended $?\\n";
for (@sockets) { accept(my $c, $_); print "connected\\n" }`

void t.test('passed sockets are served, all of them, and listen on when the daemon has ended', async (t) => {
  const directory = folder(t)
  const paths = ['one', 'two'].map((name) => join(directory, name))
  const unused = join(directory, 'unused')
  const serve = ['serve', '--driver', 'memory', '--socket', unused, '--audit-log', join(directory, 'audit.log')]
  const child = spawn('perl', ['-e', activator, paths.join(':'), process.execPath, mainPath, ...serve], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  t.teardown(() => end(child))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    said += part
  })
  await until('the sockets listen', () => said.includes('\n'))
  // The first request waits in the socket until the daemon is there.
  for (const path of paths) t.match(await curl(path, 'GET', '/version'), { status: 200, body: { driver: 'memory' } })
  t.equal((await curl(unused, 'GET', '/version')).status, 0, 'the path of --socket is not')
  process.kill(parseInt(said, 10))
  await until('it has ended', () => said.includes('ended 0\n'), 60_000)
  for (const path of paths) await run('curl', ['-s', '--max-time', '0.1', '--unix-socket', path, 'http://localhost/'])
  await until(
    'the next connections wait for whoever serves next',
    () => said.endsWith('connected\nconnected\n'),
    60_000
  )
})

void t.test('the manager hears that the daemon is ready, reloads, lives and stops', async (t) => {
  for (const address of [join(folder(t), 'notify'), `@contextd-test-${process.pid}`]) {
    const heard = await manager(t, address)
    const env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: '200000' }
    const { child, ended } = start(t, env)
    await until('ready', () => heard().some((said) => said === 'READY=1\nSTATUS=0 contexts, memory driver'), 60_000)
    await until('alive', () => heard().filter((said) => said === 'WATCHDOG=1').length > 2, 60_000)
    child.kill('SIGHUP')
    await until('reloading', () => heard().some((said) => /^RELOADING=1\nMONOTONIC_USEC=\d+\n/.test(said)), 60_000)
    await until('ready again', () => heard().filter((said) => said.startsWith('READY=1')).length === 2, 60_000)
    child.kill()
    await ended
    t.equal(child.exitCode, 0)
    t.ok(heard().some((said) => said.startsWith('STOPPING=1')))
  }
})

void t.test('a manager that is not there is no reason not to serve', async (t) => {
  const { child, output, ended } = start(t, { NOTIFY_SOCKET: join(folder(t), 'nobody') })
  await until('it serves, and says why nobody was told', () => /ENOENT[^]*service manager/.test(output()), 60_000)
  child.kill()
  await ended
  t.equal(child.exitCode, 0)
})

void t.test('what was passed to another process is not taken', async (t) => {
  const { socket } = start(t, { LISTEN_FDS: '1', PASS_TO: '1' })
  await until(
    'its own socket is served',
    async () =>
      (await run('curl', ['-s', '--unix-socket', socket, 'http://localhost/version'])).stdout.includes('memory'),
    60_000
  )
})

for (const [what, count, message] of [
  ['a file', '1', 'descriptor 3 (odd), passed by LISTEN_FDS, is no listening Unix stream socket'],
  ['something that is no number', 'x', 'LISTEN_FDS is not a number of sockets: "x"']
] as const)
  void t.test(`${what} in the place of a passed socket ends the start`, async (t) => {
    const script = 'export LISTEN_PID=$$; exec "$0" "$@" 3</dev/null'
    const served = ['serve', '--driver', 'memory', '--socket', join(folder(t), 'socket')]
    const { code, stderr } = await run('sh', ['-c', script, process.execPath, mainPath, ...served], {
      env: { ...process.env, LISTEN_FDS: count, LISTEN_FDNAMES: 'odd' }
    })
    t.equal(code, 1)
    t.match(stderr, message)
  })

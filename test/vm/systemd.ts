/**
 * The installed service under a real systemd: `npm run test:vm` runs this in a virtual machine, on whose system
 * systemd/install has laid it. Each test goes on from where the one before has left the system.
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { curl as curlOn, run, type Finished } from '../support/command.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { isAlive } from '../support/proc.js'

const dropIns = '/run/systemd/system/contextd.service.d'
const socket = '/run/contextd/contextd.sock'
const curl = (method: string, path: string, body?: unknown, through?: string[]) =>
  curlOn(socket, method, path, body, through)
/** An emulated machine is slow: long to wait, and seldom to ask, or the questions take all of its time. */
const PATIENCE_MS = 300_000
const eventually = (what: string, look: () => unknown) =>
  until(
    what,
    async () => {
      await sleep(1000)
      return look()
    },
    PATIENCE_MS
  )

/** A command that succeeds. */
async function ok(t: Test, file: string, ...args: string[]): Promise<Finished> {
  const finished = await run(file, args)
  if (finished.code !== 0) t.fail(`${file} ${args.join(' ')}: ${finished.stdout}${finished.stderr}`)
  return finished
}

async function property(unit: string, name: string): Promise<string> {
  return (await run('systemctl', ['show', '--value', '-p', name, unit])).stdout.trim()
}

const mainPid = async () => Number(await property('contextd.service', 'MainPID'))
const journal = async (...args: string[]) =>
  (await run('journalctl', ['-u', 'contextd.service', '--no-pager', '-q', ...args])).stdout

interface Context {
  initpid: number
  state: string
  created_at: string
}
const context = async (xid: number) => (await curl('GET', `/contexts/${xid}`)).body as Context

let before: Context

void t.test('the units are free of faults, and the printed steps set the service up', async (t) => {
  await ok(t, 'systemd-sysusers')
  await ok(t, 'systemd-tmpfiles', '--create')
  mkdirSync(dropIns, { recursive: true })
  // The SIGABRT of the watchdog does not reach a process that is stopped; the SIGKILL after it does.
  writeFileSync(`${dropIns}/slow.conf`, '[Service]\nTimeoutStartSec=infinity\nTimeoutAbortSec=2\n')
  await ok(t, 'systemctl', 'daemon-reload')
  const units = ['contextd.socket', 'contextd.service', 'contextd-contexts.service']
  const verified = await ok(t, 'systemd-analyze', 'verify', ...units)
  t.notMatch(verified.stderr, /contextd/)
  await ok(t, 'systemctl', 'enable', '--now', 'contextd.socket')
  const { mode, uid, gid } = lstatSync(socket)
  t.equal((mode & 0o777).toString(8), '660')
  t.equal(uid, 0)
  t.equal((await run('getent', ['group', 'contextd'])).stdout.split(':')[2], String(gid))
  const security = await ok(t, 'systemd-analyze', 'security', '--no-pager', 'contextd.service')
  t.comment(security.stdout.trim().split('\n').at(-1) ?? '')
})

void t.test('the first curl starts the daemon', async (t) => {
  t.equal(await property('contextd.service', 'ActiveState'), 'inactive')
  t.match(await curl('GET', '/version'), { status: 200, body: { driver: 'namespaces' } })
  t.equal(await property('contextd.service', 'ActiveState'), 'active')
  t.equal(
    (await curl('POST', '/contexts', { xid: 100, flags: ['PERSISTENT'], init: { argv: ['sleep', '9999'] } })).status,
    201
  )
  t.equal((await curl('POST', '/contexts', { xid: 101 })).status, 201)
  before = await context(100)
  t.match(before, { state: 'running' })
})

void t.test('the cgroups of contexts are below the unit that holds them', async (t) => {
  const { stdout } = await run('cat', [`/proc/${before.initpid}/cgroup`])
  t.equal(stdout, '0::/system.slice/contextd-contexts.service/contexts/100\n')
})

void t.test('members of the group contextd may use the socket, others not', async (t) => {
  await ok(t, 'useradd', 'member', '-G', 'contextd')
  await ok(t, 'useradd', 'stranger')
  const as = (user: string) => ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups']
  t.equal((await curl('GET', '/contexts/100', undefined, as('member'))).status, 200)
  t.equal((await curl('GET', '/contexts/100', undefined, as('stranger'))).status, 0, 'no connection')
})

void t.test('a restart leaves guests alone, and the next daemon finds them', async (t) => {
  const daemon = await mainPid()
  await ok(t, 'systemctl', 'restart', 'contextd.service')
  t.not(await mainPid(), daemon)
  t.same(await context(100), before)
  t.ok(isAlive(before.initpid))
  t.equal((await context(101)).state, 'setup', 'nor does one without processes end')
  const captured = await curl('POST', '/contexts/100/processes', { argv: ['hostname'], capture: true })
  t.match(captured, { status: 200, body: { exit_code: 0 } })
  t.notMatch(await journal(), /left-over process/, 'no shim is in the unit that was restarted')
})

void t.test('systemctl status shows what the daemon does', async (t) => {
  t.equal(await property('contextd.service', 'StatusText'), '2 contexts, namespaces driver')
  t.match((await run('systemctl', ['status', '--no-pager', 'contextd.service'])).stdout, /Status: "2 contexts/)
})

void t.test('a reload is done by the same daemon, which says so', async (t) => {
  const daemon = await mainPid()
  await ok(t, 'systemctl', 'reload', 'contextd.service')
  await eventually('it has reloaded', async () => (await journal()).includes('"reloaded"'))
  await eventually('it is ready', async () => (await property('contextd.service', 'ActiveState')) === 'active')
  t.equal(await mainPid(), daemon)
  t.same(await context(100), before)
})

void t.test('logrotate renames the audit log, and the chain goes on in a new one', async (t) => {
  const log = '/var/log/contextd/audit.log'
  const daemon = await mainPid()
  const { ino } = lstatSync(log)
  await ok(t, 'logrotate', '--force', '/etc/logrotate.d/contextd')
  await eventually('there is a new one', () => existsSync(log))
  t.equal(lstatSync(`${log}.1`).ino, ino)
  t.equal((await curl('PATCH', '/contexts/101/uname', { nodename: 'rotated' })).status, 200)
  t.match(readFileSync(log, 'utf8'), /rotated/)
  t.match(await ok(t, 'contextd', 'audit', 'verify', `${log}.1`, log), { code: 0 })
  t.equal(await mainPid(), daemon)
})

void t.test('a bad policy is refused at a reload, and warned of in the journal by line', async (t) => {
  const policy = '/etc/contextd/policy.json'
  mkdirSync('/etc/contextd', { recursive: true })
  const warnings = () => journal('-p', 'warning', '-o', 'cat')
  const reloadedTimes = async () => (await journal()).split('"reloaded"').length
  const reload = async () => {
    const times = await reloadedTimes()
    await ok(t, 'systemctl', 'reload', 'contextd.service')
    await eventually('it has reloaded', async () => (await reloadedTimes()) > times)
  }
  writeFileSync(policy, '{\n  "rules": [\n    { "users": ["root"], "actions": ["sleep"] }\n  ]\n}\n')
  await reload()
  t.match(await warnings(), /policy\.json:3:.*not reloaded/s)
  t.notMatch(await warnings(), /"level":"info"/)
  t.match(await journal('-p', 'info', '-o', 'cat'), /"level":"info"/)
  t.equal((await curl('GET', '/contexts/100')).status, 200, 'the one before holds')
  const mayRead = { rules: [{ users: ['root'], actions: ['read'], contexts: ['all'] }] }
  writeFileSync(policy, JSON.stringify(mayRead))
  await reload()
  t.equal((await curl('PATCH', '/contexts/101/uname', { nodename: 'no' })).status, 403)
  rmSync(policy)
  await reload()
  t.equal((await curl('PATCH', '/contexts/101/uname', { nodename: 'yes' })).status, 200)
})

void t.test('a daemon that hangs is killed and started again while guests go on', async (t) => {
  const daemon = await mainPid()
  process.kill(daemon, 'SIGSTOP')
  await eventually('systemd has killed it', () => !isAlive(daemon))
  await eventually('the next one serves', async () => {
    const answered = await curl('GET', '/version').catch(() => undefined) // longer than a command may take
    return answered?.status === 200
  })
  t.same(await context(100), before)
  t.ok(isAlive(before.initpid))
  t.match(await journal(), /Watchdog timeout/)
  t.equal(await property('contextd.service', 'NRestarts'), '1')
})

void t.test('at a stop waiters get 503, the socket is closed, guests go on, and a start finds them', async (t) => {
  const waiter = run('curl', ['-sS', '-i', '--unix-socket', socket, '-X', 'POST', 'http://localhost/contexts/100/wait'])
  await eventually('somebody waits', async () => {
    const { body } = await curl('GET', '/contexts/100/stat')
    return (body as { usecnt: number }).usecnt === 2
  })
  await ok(t, 'systemctl', 'stop', 'contextd.socket', 'contextd.service')
  t.match((await waiter).stdout, /^HTTP\/1.1 503 [^]*retry-after: /)
  t.equal(await property('contextd.service', 'Result'), 'success')
  t.notOk(existsSync(socket))
  t.ok(isAlive(before.initpid))
  await ok(t, 'systemctl', 'start', 'contextd.service')
  t.same(await context(100), before)
})

void t.test('what guests write is in the journal, long lines too, and the problem says how to read it', async (t) => {
  writeFileSync('/etc/default/contextd', 'CONTEXTD_GUEST_LOG=journal\n')
  await ok(t, 'systemctl', 'restart', 'contextd.service')
  // The line is larger than a datagram can be then.
  const { stdout: size } = await ok(t, 'sysctl', '-n', 'net.core.wmem_default')
  await ok(t, 'sysctl', '-q', 'net.core.wmem_default=4608')
  const script = 'echo one; echo two >&2; head -c 12000 /dev/zero | tr "\\0" x; echo; exec sleep 9999'
  t.equal((await curl('POST', '/contexts', { xid: 102, init: { argv: ['sh', '-c', script] } })).status, 201)
  const refused = await curl('GET', '/contexts/102/log')
  t.match(refused, { status: 501, body: { type: 'log-in-journal' } })
  const [command = ''] = /journalctl .*$/.exec((refused.body as { detail: string }).detail) ?? []
  const entries = async () =>
    (await run('sh', ['-c', `${command} --output=json --all --no-pager`])).stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, string>)
  await eventually('all has come', async () => (await entries()).length === 3)
  await ok(t, 'sysctl', '-q', `net.core.wmem_default=${size.trim()}`)
  const ofGuest = { SYSLOG_IDENTIFIER: 'contextd-guest', CONTEXTD_XID: '102', _COMM: 'contextd-shim' }
  matches(
    t,
    (await entries()).sort((a, b) => (a.MESSAGE ?? '').localeCompare(b.MESSAGE ?? '')),
    [
      { ...ofGuest, MESSAGE: 'one', PRIORITY: '6', CONTEXTD_STREAM: 'stdout' },
      { ...ofGuest, MESSAGE: 'two', PRIORITY: '3', CONTEXTD_STREAM: 'stderr' },
      { ...ofGuest, MESSAGE: 'x'.repeat(12_000), PRIORITY: '6', CONTEXTD_STREAM: 'stdout' }
    ]
  )
  t.equal((await curl('DELETE', '/contexts/102?grace=0')).status, 204)
})

void t.test('the end of the unit that holds them is the end of the guests', async (t) => {
  await ok(t, 'systemctl', 'stop', '--no-block', 'contextd-contexts.service')
  await eventually('the guest is gone', () => !isAlive(before.initpid))
})

void t.test('a passed descriptor that is no listening Unix socket is refused by name', async (t) => {
  const script = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=odd; exec "$0" "$@" 3</dev/null'
  const main = '/usr/local/bin/contextd'
  const { code, stderr } = await run('sh', ['-c', script, main, 'serve', '--driver', 'memory'])
  t.equal(code, 1)
  t.match(stderr, 'descriptor 3 (odd), passed by LISTEN_FDS, is no listening Unix stream socket')
})

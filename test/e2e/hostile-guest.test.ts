/** What a guest may do to confuse or exhaust its daemon, and the ways it may look for it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, linkSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf, type Guest, shortLife } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { isAlive, needsRoot, pidsInCgroup } from '../support/proc.js'
import { onRealDrivers, realDrivers, startOf } from '../support/real.js'
import { guestRoot } from '../support/root.js'

const init = { argv: ['/bin/sleep', '1000'] }
/** With SYS_ADMIN a guest can mount, make namespaces and change its names. */
const powerful = { init, bcaps: ['SYS_ADMIN', 'CHOWN', 'DAC_OVERRIDE', 'KILL', 'SETUID', 'SETGID', 'SYS_PTRACE'] }
const curl = (socket: string) => ['curl', '-s', '--unix-socket', socket, 'http://localhost/contexts']

for (const driver of realDrivers)
  void t.test(`${driver}: a socket that a guest can see does not serve it`, needsRoot(), async (t) => {
    const daemon = await TestDaemon.start(driver, startOf(driver))
    t.teardown(() => daemon.cleanUp())
    const root = guestRoot(t, ['/bin/sleep', '/usr/bin/curl', '/usr/bin/unshare', '/bin/mount'])
    chmodSync(root, 0o755)
    linkSync(daemon.socket, join(root, 'socket'))
    const refused = { exit_code: 0, stdout: /"type":"inside-context".*"status":403/s }

    await t.test('to root of the guest, nor to another user', async (t) => {
      const guest = await guestOf(t, daemon, { root, init })
      t.match(await guest.capture(curl('/socket')), refused)
      t.match((await guest.capture(curl('/socket'), { user: { uid: 1234 } })).stdout, /^($|.*inside-context)/)
      t.match(await guest.capture([...curl('/socket'), '-X', 'DELETE']), refused)
      const [line] = (daemon.audit() as { method?: string }[]).filter(({ method }) => method === 'DELETE')
      t.match(
        line,
        { status: 403, problem: 'inside-context', caller: { xid: guest.xid, uid: 0 } },
        'and the attempt is written down'
      )
      t.notMatch(daemon.stderr, /"level":"error"/)
    })

    if (driver === 'namespaces')
      await t.test('nor from a PID namespace that the guest has made', async (t) => {
        const guest = await guestOf(t, daemon, { root, ...powerful })
        t.match(await guest.capture(['unshare', '--pid', '--fork', '--mount-proc', ...curl('/socket')]), refused)
        t.match(
          await guest.capture(['unshare', '--pid', '--fork', '--ipc', '--net', '--cgroup', ...curl('/socket')]),
          refused
        )
      })
  })

t.setTimeout(FILE_LIMIT_MS)

onRealDrivers((test, daemon, driver) => {
  test('processes whose names are no text are listed, and the answer is JSON', async (t) => {
    const guest = await guestOf(t, daemon, { init })
    const name = 'a) R 1\\n\\xff\\"'
    await guest.start(['perl', '-e', `$0 = "${name}"; open C, ">", "/proc/self/comm"; syswrite C, $0; sleep 1000`])
    const comms = async () => (await guest.processes()).map(({ comm }) => comm)
    await until('it has its name', async () => (await comms()).some((comm) => comm.startsWith('a) R')))
    for (const { state, nspid } of await guest.processes()) t.ok(/^[RSDZ]$/.test(state) && nspid > 0)
    t.match(await daemon.get(`${guest.path}/stat`), { status: 200 })
  })

  test('a guest with two thousand zombies is read, signalled and removed like any other', async (t) => {
    const guest = await guestOf(t, daemon, { init })
    await guest.start(['perl', '-e', 'for (1..2000) { fork or exit } sleep 1000'])
    const count = 'ls -d /proc/[0-9]* 2>/dev/null | wc -l'
    await until('they are there', async () => Number((await guest.shell(count)).stdout) > 2000, 60_000)
    t.equal((await guest.processes()).length, 2, 'a cgroup does not list them')
    t.match(await daemon.get(`${guest.path}/stat`), { status: 200 })
    t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
  })

  test('output without end is read to the limit and no further', async (t) => {
    const guest = await guestOf(t, daemon, { init })
    const result = await guest.capture(['cat', '/dev/zero'], shortLife)
    t.match(result, { timed_out: true, truncated: true })
    t.ok(result.stdout.length <= 1 << 20)
  })

  if (driver !== 'namespaces') return

  test('names that a powerful guest gives itself, no text among them, are answered', async (t) => {
    const guest = await guestOf(t, daemon, powerful)
    const number = process.arch === 'arm64' ? 161 : 170
    const name = 'new\\nline\\xff\\"x'
    t.equal(
      (await guest.capture(['perl', '-e', `$n = "${name}"; exit syscall(${number}, $n, length $n) != 0`])).exit_code,
      0
    )
    t.match(await guest.context(), { uname: { nodename: 'new\nline\ufffd"x' } })
    t.match(await daemon.get(`${guest.path}/uname/nodename`), { status: 200 })
    matches(t, await daemon.patch(`${guest.path}/uname`, { nodename: 'sane' }), {
      status: 200,
      body: { changed: ['nodename'] }
    })
  })

  /** In a cgroup some levels below the context's own, which takes SYS_ADMIN to mount. */
  const startBelow = async (t: Test, command: string): Promise<Guest> => {
    const guest = await guestOf(t, daemon, powerful)
    const script = `mkdir /tmp/c && mount -t cgroup2 none /tmp/c && mkdir -p /tmp/c/a/b/c &&
      echo $$ >/tmp/c/a/b/c/cgroup.procs && exec ${command}`
    await guest.start(['/bin/sh', '-c', script])
    await until('it is there', () => pidsInCgroup(`${guest.xid}/a/b/c`).length === 1)
    return guest
  }
  const below = (guest: Guest) => pidsInCgroup(`${basename(daemon.cgroupRoot ?? '')}/contexts/${guest.xid}/a`)

  test('processes in cgroups that a guest has made are listed, counted and signalled', async (t) => {
    const guest = await startBelow(t, 'perl -e "sleep 1000"')
    const listed = () => guest.processes().then((all) => all.map(({ comm }) => comm).sort())
    await until('it is listed', async () => (await listed()).join() === 'perl,sleep')
    t.match(await daemon.get(`${guest.path}/stat`), { body: { nr_threads: 2, tasks: 2 } })
    t.equal((await guest.kill('SIGTERM', -1)).status, 204)
    await until('it has ended', () => below(guest).length === 0)
    t.same(await listed(), ['sleep'], 'the init has not')
  })

  test('cgroups that a guest has made are gone with the context', async (t) => {
    const guest = await startBelow(t, 'sleep 1000')
    const [pid = 0] = below(guest)
    t.equal((await daemon.delete(`${guest.path}?grace=0`)).status, 204)
    t.notOk(isAlive(pid))
    t.notOk(existsSync(join(daemon.cgroupRoot ?? '', 'contexts', String(guest.xid))))
  })

  test('a mount that the host makes while guests start is read-only or not there', async (t) => {
    const directory = mkdtempSync('/srv/contextd-test-')
    const mounting = spawn('/bin/sh', [
      '-c',
      'trap "umount -l $0/m 2>/dev/null; exit" TERM; mkdir $0/m; while :; do mount -t tmpfs contextd-test $0/m; sleep 0.005; umount -l $0/m; sleep 0.005; done',
      directory
    ])
    t.teardown(async () => {
      const exited = once(mounting, 'exit')
      mounting.kill('SIGTERM')
      await exited
      rmSync(directory, { recursive: true })
    })
    for (let round = 0; round < 40; round++) {
      const reply = await daemon.post('/contexts', { init })
      if (reply.status === 503) continue // it never stood still
      t.equal(reply.status, 201, reply.text)
      const { xid } = reply.body as { xid: number }
      const seen = await daemon.post(`/contexts/${xid}/processes`, {
        argv: ['/bin/sh', '-c', `grep ' ${directory}/m ' /proc/mounts; touch ${directory}/m/x`],
        capture: true
      })
      t.match(seen, { status: 200, body: { stdout: /^($|\S+ \S+ tmpfs ro)/, exit_code: 1 } })
      await daemon.delete(`/contexts/${xid}?grace=0`)
    }
  })
})

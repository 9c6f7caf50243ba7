/** What a process inside a context holds and sees. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Guest, guestOf } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { lineOf, statusField } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'
import { guestRoot } from '../support/root.js'
import { until } from '../support/poll.js'

const sleeping = { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
const hex = (text: string | undefined) => BigInt(`0x${text ?? '0'}`)

/** Its loader opens libraries for a moment; what we leave open would stay. */
async function holdsOnlyStdio(t: Test, guest: Guest, pid: number): Promise<void> {
  const few = async () => {
    const open = await guest.descriptors(pid)
    return open.length <= 3 && open
  }
  t.same(await until('the loader is done', few).catch(() => guest.descriptors(pid)), ['0', '1', '2'])
}

onRealDrivers((test, daemon, driver) => {
  const guestWithInit = (t: Test, more: object = {}) => guestOf(t, daemon, { ...sleeping, ...more })

  test('every capability set of a root process is cut to the bcaps of its context', async (t) => {
    const guest = await guestWithInit(t)
    const bcaps = BigInt((await guest.context()).bcaps.value) & hex(statusField('self', 'CapBnd'))
    const { stdout } = await guest.capture(['/bin/cat', '/proc/self/status'])
    const { initpid } = await guest.context()
    for (const status of [stdout, await guest.procFile(initpid, 'status')]) {
      for (const set of ['CapBnd', 'CapPrm', 'CapEff']) t.equal(hex(lineOf(status, set)), bcaps, set)
      t.equal(hex(lineOf(status, 'CapInh')) & ~bcaps, 0n, 'CapInh')
      t.equal(hex(lineOf(status, 'CapAmb')), 0n, 'CapAmb')
    }
  })

  test('a context without bcaps has none at all', async (t) => {
    const guest = await guestWithInit(t, { bcaps: [] })
    const { stdout } = await guest.capture(['/bin/cat', '/proc/self/status'])
    for (const set of ['CapBnd', 'CapPrm', 'CapEff', 'CapInh', 'CapAmb']) t.equal(hex(lineOf(stdout, set)), 0n, set)
  })

  test('every process that is started has a session of its own, out of which no signal to a group leads', async (t) => {
    const guest = await guestWithInit(t)
    const { initpid } = await guest.context()
    const inside = (await guest.capture(['/bin/cat', '/proc/self/status'])).stdout
    for (const status of [inside, await guest.procFile(initpid, 'status')])
      for (const leader of ['NStgid', 'NSpgid', 'NSsid'])
        t.equal(lineOf(status, leader), lineOf(status, 'NSpid'), leader)
  })

  test('a process of another user has the ids it was given and no effective capability', async (t) => {
    const guest = await guestWithInit(t)
    const user = { uid: 1234, gid: 2345, groups: [7, 77777] }
    const { stdout } = await guest.capture(['/bin/cat', '/proc/self/status'], { user })
    t.equal(lineOf(stdout, 'Uid'), '1234\t1234\t1234\t1234')
    t.equal(lineOf(stdout, 'Gid'), '2345\t2345\t2345\t2345')
    t.equal(lineOf(stdout, 'Groups')?.trim(), '7 77777')
    for (const set of ['CapPrm', 'CapEff', 'CapAmb']) t.equal(hex(lineOf(stdout, set)), 0n, set)
    const plain = await guest.capture(['/bin/cat', '/proc/self/status'], { user: { uid: 4242 } })
    t.equal(lineOf(plain.stdout, 'Gid'), '65534\t65534\t65534\t65534', "not a group of somebody else's")
    t.equal(lineOf(plain.stdout, 'Groups')?.trim(), '', 'no group of the daemon is kept')
  })

  test('a user starts only what that user may execute, and where it may be', async (t) => {
    const root = guestRoot(t, ['/bin/sh', '/bin/cat', '/bin/sleep'])
    chmodSync(join(root, 'bin/cat'), 0o700)
    chmodSync(root, 0o755)
    mkdirSync(join(root, 'private'), { mode: 0o700 })
    const guest = await guestWithInit(t, { root })
    const start = (more: object) =>
      daemon.post(`${guest.path}/processes`, { argv: ['/bin/cat'], capture: true, ...more })
    const refused = (call: string) => ({ status: 403, body: { errno: 'EACCES', call } })
    t.match(await start({}), { status: 200 })
    t.match(await start({ user: { uid: 1234 } }), refused('execve'))
    t.match(await start({ argv: ['/bin/sh'], cwd: '/private', user: { uid: 1234 } }), refused('chdir'))
    t.match(await start({ argv: ['/bin/sh'], user: { uid: 1234 } }), { status: 200 })
  })

  test('an init of another user has the ids it was given', async (t) => {
    const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'], user: { uid: 1234, groups: [5] } } })
    const { initpid } = await guest.context()
    const status = await guest.procFile(initpid, 'status')
    t.equal(lineOf(status, 'Uid'), '1234\t1234\t1234\t1234')
    t.equal(lineOf(status, 'Groups')?.trim(), '5')
    t.equal(hex(lineOf(status, 'CapEff')), 0n)
  })

  test('what the kernel counts for a uid over all guests leaves half to the host', async (t) => {
    const guest = await guestWithInit(t)
    const limits = readFileSync(`/proc/${daemon.pid}/limits`, 'utf8')
    const ofGuest = (await guest.capture(['/bin/cat', '/proc/self/limits'])).stdout
    for (const name of ['Max pending signals', 'Max msgqueue size']) {
      const hard = (text: string) => Number(new RegExp(`^${name} +\\d+ +(\\d+) `, 'm').exec(text)?.[1])
      t.equal(hard(ofGuest), Math.floor(hard(limits) / 2), name)
    }
    t.match((await guest.capture(['/bin/cat', '/proc/self/mounts'])).stdout, / devpts .*[ ,]max=256[, ]/m)
  })

  test('nothing but descriptors 0 to 2 reaches a guest, as init, alone or captured', async (t) => {
    const guest = await guestWithInit(t)
    const { initpid } = await guest.context()
    await holdsOnlyStdio(t, guest, initpid)
    await holdsOnlyStdio(t, guest, await guest.start(['/bin/sleep', '1000']))
    t.equal((await guest.shell('ls /proc/$$/fd; true')).stdout, '0\n1\n2\n')
    const bare = await guestOf(t, daemon)
    await holdsOnlyStdio(t, bare, await bare.start(['/bin/sleep', '1000'])) // under the reaper as well
  })

  test('the environment is PATH, HOME, TERM and what was given, nothing of the daemon', async (t) => {
    const guest = await guestWithInit(t)
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const environment = async (more?: object) =>
      (await guest.capture(['/usr/bin/env'], more)).stdout.trimEnd().split('\n').sort()
    t.same(await environment(), ['HOME=/root', path, 'TERM=linux'])
    t.same(await environment({ user: { uid: 4242 } }), ['HOME=/', path, 'TERM=linux'])
    t.same(await environment({ env: { TERM: 'vt100', EMPTY: '', TEXT: 'a=b\tc' } }), [
      'EMPTY=',
      'HOME=/root',
      path,
      'TERM=vt100',
      'TEXT=a=b\tc'
    ])
    const { initpid } = await guest.context()
    const ofInit = (await guest.procFile(initpid, 'environ')).split('\0').filter(Boolean)
    t.same(ofInit.sort(), ['HOME=/root', path, 'TERM=linux'])
  })

  test('a command without a slash is searched along the PATH it is given', async (t) => {
    const guest = await guestWithInit(t)
    t.equal((await guest.capture(['hostname'])).exit_code, 0)
    t.match(
      await daemon.post(`${guest.path}/processes`, { argv: ['hostname'], env: { PATH: '/nowhere' }, capture: true }),
      {
        status: 422,
        body: { errno: 'ENOENT', call: 'execve' }
      }
    )
  })

  test('the working directory is / or the one that was given, and one that is missing is the error', async (t) => {
    const guest = await guestWithInit(t)
    t.equal((await guest.shell('pwd')).stdout, '/\n')
    t.equal((await guest.shell('pwd', { cwd: '/usr' })).stdout, '/usr\n')
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/bin/true'], cwd: '/nowhere' }), {
      status: 422,
      body: { errno: 'ENOENT', call: 'chdir', detail: /nowhere/ }
    })
  })

  test("the host's files are there, read-only", async (t) => {
    const guest = await guestWithInit(t)
    const { exit_code, stderr } = await guest.shell('cat /etc/passwd >/dev/null && touch /etc/contextd-was-here')
    t.not(exit_code, 0)
    t.match(stderr, /Read-only file system/)
    t.notOk(existsSync('/etc/contextd-was-here'))
    t.match((await guest.shell('mount -o remount,rw /')).exit_code, /[^0]/, 'and cannot be made writable')
  })

  test('/dev has only what a program may expect', async (t) => {
    const guest = await guestWithInit(t)
    const expected = [
      'fd',
      'full',
      'null',
      'ptmx',
      'pts',
      'random',
      'shm',
      'stderr',
      'stdin',
      'stdout',
      'tty',
      'urandom',
      'zero'
    ]
    t.same((await guest.shell('ls /dev')).stdout.trimEnd().split('\n').sort(), expected)
    t.equal(
      (await guest.shell('echo lost >/dev/null; head -c 4 /dev/zero | od -An -tx1; cat /dev/stdin', { stdin: 'in' }))
        .stdout,
      ' 00 00 00 00\nin'
    )
  })

  test('/run and /tmp are fresh, writable and of the guest alone', async (t) => {
    const guest = await guestWithInit(t)
    t.equal((await guest.shell('ls -A /run /tmp')).stdout, '/run:\n\n/tmp:\n')
    t.equal((await guest.shell('echo mine | tee /run/contextd-test /tmp/contextd-test')).exit_code, 0)
    t.equal((await guest.shell('cat /tmp/contextd-test')).stdout, 'mine\n', 'one guest, one /tmp')
    t.notOk(existsSync('/tmp/contextd-test') || existsSync('/run/contextd-test'))
    const other = await guestWithInit(t)
    t.equal((await other.shell('ls -A /tmp')).stdout, '')
  })

  test('a guest with a root of its own sees that and nothing of the host', async (t) => {
    const root = guestRoot(t, ['/bin/sh', '/bin/ls', '/bin/cat', '/bin/sleep', '/bin/hostname'])
    const guest = await guestWithInit(t, { root })
    t.equal((await guest.context()).root, root)
    t.equal((await guest.shell('cat /marker')).stdout, 'the guest root\n')
    t.not((await guest.shell('cat /etc/passwd')).exit_code, 0)
    const seen = (await guest.shell('ls /')).stdout.trimEnd().split('\n')
    t.same(seen, [...new Set([...readdirSync(root), 'dev', 'proc'])].sort())
    const mounts = (await guest.shell('cat /proc/self/mountinfo')).stdout.trimEnd().split('\n')
    for (const line of mounts) t.match(line.split(' ')[4], /^\/($|dev|proc)/, 'no mount of the host is left')
    t.equal((await guest.shell('echo hello >/written')).exit_code, 0, 'it is writable')
    t.equal(readFileSync(join(root, 'written'), 'utf8'), 'hello\n')
    t.same(readdirSync(join(root, 'dev')), [], 'the host does not see the mounts of the guest')
  })

  test('names set from outside are seen inside a running guest', async (t) => {
    const guest = await guestWithInit(t, { uname: { nodename: 'before' } })
    t.equal((await guest.shell('hostname')).stdout, 'before\n')
    matches(t, await daemon.patch(`${guest.path}/uname`, { nodename: 'after', domainname: 'example.org' }), {
      status: 200,
      body: { changed: ['nodename', 'domainname'] }
    })
    t.equal((await guest.shell('hostname; cat /proc/sys/kernel/domainname')).stdout, 'after\nexample.org\n')
    t.match(await daemon.put(`${guest.path}/uname/nodename`, { value: 'last' }), {
      status: 200,
      body: { changed: true }
    })
    t.equal((await guest.shell('hostname')).stdout, 'last\n')
    t.match(await daemon.put(`${guest.path}/uname/nodename`, { value: 'last' }), {
      status: 200,
      body: { changed: false }
    })
  })

  test('the names of an empty context are those it starts with', async (t) => {
    const guest = await guestOf(t, daemon, { uname: { nodename: 'first' } })
    t.equal((await guest.shell('hostname')).stdout, 'first\n')
    await guest.isEmpty()
    await daemon.patch(`${guest.path}/uname`, { nodename: 'second' })
    t.equal((await guest.shell('hostname')).stdout, 'second\n')
  })

  test('an init that is not found is the error of its exec, and nothing is left', async (t) => {
    const missing = join(daemon.directory, 'no-program')
    t.match(await daemon.post('/contexts', { xid: 310, init: { argv: [missing] } }), {
      status: 422,
      body: { errno: 'ENOENT', call: 'execve', detail: missing }
    })
    t.equal((await daemon.get('/contexts/310')).status, 404)
    t.match(await daemon.post('/contexts', { xid: 310, init: { argv: ['/etc/passwd'] } }), {
      status: 403,
      body: { errno: 'EACCES', call: 'execve' }
    })
    await until('it is gone', async () => (await daemon.get('/contexts/310')).status === 404)
  })

  /** What follows is how namespaces do it, or needs a PID namespace. */
  if (driver !== 'namespaces') return

  test('a change of bcaps holds for processes started from then on and for none before', async (t) => {
    const guest = await guestWithInit(t)
    const held = async () => {
      const pid = await guest.start(['/bin/sleep', '1000'])
      return { pid, chown: () => (hex(statusField(pid, 'CapBnd')) & 1n) === 1n }
    }
    const early = await held()
    const changed = await daemon.patch(`${guest.path}/bcaps`, { clear: ['CHOWN'] })
    t.match(changed, { status: 200, body: { changed: true } })
    const late = await held()
    t.equal(early.chown(), true)
    t.equal(late.chown(), false)
    t.equal((await guest.shell('chown 1 /run')).exit_code, 1, 'and the kernel refuses what is no longer held')
  })

  test('/proc shows the processes of the guest alone, and its switches of the host are read-only', async (t) => {
    const guest = await guestWithInit(t)
    const { stdout } = await guest.shell('echo /proc/[0-9]*; echo $$')
    t.match(stdout, /^\/proc\/1 \/proc\/\d+\n\d+\n$/, 'its init and itself')
    const switches = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sysrq-trigger']
    for (const file of switches.filter((path) => existsSync(path))) {
      const { exit_code, stderr } = await guest.shell(`echo h >>${file}`)
      t.not(exit_code, 0)
      t.match(stderr, /Read-only file system/, file)
    }
  })

  test('a guest sees its cgroup as the root of all cgroups', async (t) => {
    const guest = await guestWithInit(t)
    t.match((await guest.shell('cat /proc/self/cgroup')).stdout, /^0::\/$/m)
  })

  test('a guest cannot climb out of its root', async (t) => {
    const root = guestRoot(t, ['/bin/sh', '/bin/ls', '/bin/cat', '/bin/sleep'])
    const guest = await guestWithInit(t, { root })
    t.equal((await guest.shell('cd ../../..; ls marker')).stdout, 'marker\n')
    t.equal((await guest.shell('ls /proc/1/root/marker')).stdout, '/proc/1/root/marker\n')
  })

  test('a guest sees what the host has mounted right before its start, whenever its launcher got ready', async (t) => {
    const directory = mkdtempSync('/var/tmp/contextd-mounted-') // a guest has a /tmp of its own
    const file = join(directory, 'file')
    const sees = async () => (await (await guestWithInit(t)).shell(`cat ${file}`)).stdout
    t.equal(await sees(), '', 'and from now on a launcher waits')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'contextd-test', directory])
    try {
      writeFileSync(file, 'new')
      t.equal(await sees(), 'new')
      const guest = await guestWithInit(t)
      t.match((await guest.shell(`touch ${file}`)).stderr, /Read-only file system/)
    } finally {
      execFileSync('umount', [directory])
    }
    t.equal(await sees(), '', 'nor what it has unmounted')
    rmdirSync(directory)
  })

  test('a root that was swapped for a symlink after creation is refused at the start', async (t) => {
    const root = guestRoot(t, ['/bin/sleep'])
    const guest = await guestOf(t, daemon, { root })
    renameSync(root, `${root}-moved`)
    symlinkSync('/', root)
    t.teardown(() => {
      unlinkSync(root)
      renameSync(`${root}-moved`, root)
    })
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/bin/sleep', '1000'] }), {
      status: 422,
      body: { errno: 'ELOOP', call: 'openat2' }
    })
    t.equal((await guest.context()).state, 'setup', 'nothing has run')
  })

  test('names that a powerful guest sets itself are what the API shows', async (t) => {
    const guest = await guestWithInit(t, { bcaps: ['SYS_ADMIN'], uname: { nodename: 'given' } })
    t.equal((await guest.context()).uname.nodename, 'given')
    t.equal((await guest.shell('hostname chosen')).exit_code, 0)
    t.equal((await guest.context()).uname.nodename, 'chosen')
    t.match(await daemon.get(`${guest.path}/uname/nodename`), { body: { value: 'chosen' } })
  })

  test('a guest without SYS_ADMIN cannot set its name', async (t) => {
    const guest = await guestWithInit(t, { uname: { nodename: 'given' } })
    t.not((await guest.shell('hostname chosen')).exit_code, 0)
    t.equal((await guest.shell('hostname')).stdout, 'given\n')
  })

  test("a guest cannot reach the launcher's file through /proc", async (t) => {
    const guest = await guestOf(t, daemon)
    await guest.start(['/bin/sleep', '1000'])
    const { exit_code } = await guest.shell('echo broken >>/proc/1/exe')
    t.not(exit_code, 0, 'the copy it was started from is sealed')
  })

  test('no descriptor, directory or memory of the reaper leads out of the guest', async (t) => {
    const guest = await guestOf(t, daemon)
    await guest.start(['/bin/sleep', '1000'])
    const { stdout } = await guest.shell(
      'for fd in /proc/1/fd/*; do readlink $fd; done; readlink /proc/1/cwd /proc/1/root'
    )
    for (const target of stdout.trimEnd().split('\n'))
      t.match(target, /^(\/dev\/null|(socket|pipe):\[\d+\]|\/)$/, target)
    const modes = await guest.shell(
      'for fd in /proc/1/fd/*; do case $(readlink $fd) in pipe:*) stat -c %A $fd; esac; done'
    )
    t.equal(modes.stdout, 'l-wx------\nl-wx------\n', 'of pipes it has what is written to')
  })
})

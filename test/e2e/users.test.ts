/** Whose a guest's process is, by the guest's own passwd and group, whatever is in them. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { guestOf, type Guest } from '../support/guest.js'
import { matches } from '../support/matches.js'
import { hasLine } from '../support/log.js'
import { onRealDrivers } from '../support/real.js'
import { guestRoot } from '../support/root.js'

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const passwd = 'root:x:0:0:root:/root:/bin/bash\nalice:x:1500:1600:A:/home/alice:/bin/fish\nbare:x:1501:1601:::\n'
const group =
  'root:x:0:\nalice:x:1600:\nstaff:x:1700:bob,alice\nmine:x:1701:alice\nother:x:1702:alice2,malice\nend:x:1703\n'

/** Unlike id(1) it looks nothing up itself. */
const status = ['/bin/cat', '/proc/self/status']

onRealDrivers((test, daemon) => {
  /** A guest with a root of its own, in which these are its accounts. */
  async function guestWith(t: Test, files: { passwd?: string; group?: string } = { passwd, group }) {
    const root = guestRoot(t, ['/bin/sh', '/bin/sleep', '/bin/cat', '/usr/bin/id', '/usr/bin/env'])
    chmodSync(root, 0o755)
    mkdirSync(join(root, 'etc'), { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, 'etc', name), text)
    const guest = await guestOf(t, daemon, { root, init: { argv: ['/bin/sleep', '1000'] } })
    return { guest, file: (name: string) => join(root, 'etc', name) }
  }
  const id = async (guest: Guest, user: unknown) => (await guest.capture(['/usr/bin/id'], { user })).stdout.trimEnd()
  const environment = async (guest: Guest, more: object) =>
    (await guest.capture(['/usr/bin/env'], more)).stdout.trimEnd().split('\n').sort()

  test("gid and groups are those of the guest's passwd and group", async (t) => {
    const { guest } = await guestWith(t)
    const alice = 'uid=1500(alice) gid=1600(alice) groups=1600(alice),1700(staff),1701(mine)'
    for (const user of ['alice', 1500, '1500', { uid: 1500 }]) t.equal(await id(guest, user), alice)
    t.equal(await id(guest, 'alice:staff'), 'uid=1500(alice) gid=1700(staff) groups=1700(staff)')
    t.equal(await id(guest, 'alice:7'), 'uid=1500(alice) gid=7 groups=7')
    t.equal(await id(guest, { uid: 1500, gid: 8 }), 'uid=1500(alice) gid=8 groups=8')
    t.equal(await id(guest, { uid: 1500, groups: [9] }), 'uid=1500(alice) gid=1600(alice) groups=1600(alice),9')
    t.equal(await id(guest, { uid: 1500, groups: [] }), 'uid=1500(alice) gid=1600(alice) groups=1600(alice)')
    t.equal(await id(guest, 999), 'uid=999 gid=65534 groups=65534', "not a group that is somebody else's")
    t.equal(await id(guest, '999:staff'), 'uid=999 gid=1700(staff) groups=1700(staff)')
    t.equal(await id(guest, undefined), 'uid=0(root) gid=0(root) groups=0(root)')
    // The host's names are not the guest's.
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/usr/bin/id'], user: 'www-data' }), {
      status: 422,
      body: { errno: 'ENOENT', call: 'getpwnam', detail: "there is no user www-data in the guest's /etc/passwd" }
    })
  })

  test('HOME, USER, LOGNAME and SHELL are those of the entry, unless the request has them', async (t) => {
    const { guest } = await guestWith(t)
    const ofAlice = ['HOME=/home/alice', 'LOGNAME=alice', PATH, 'SHELL=/bin/fish', 'TERM=linux', 'USER=alice']
    t.same(await environment(guest, { user: 'alice' }), ofAlice)
    t.same(await environment(guest, { user: 1500 }), ofAlice)
    t.same(await environment(guest, { user: 'alice', env: { HOME: '/x', USER: '', HOMER: 'y' } }), [
      'HOME=/x',
      'HOMER=y',
      'LOGNAME=alice',
      PATH,
      'SHELL=/bin/fish',
      'TERM=linux',
      'USER='
    ])
    t.same(await environment(guest, { user: 'bare' }), [
      'HOME=/',
      'LOGNAME=bare',
      PATH,
      'SHELL=/bin/sh',
      'TERM=linux',
      'USER=bare'
    ])
    t.same(await environment(guest, { user: 999 }), ['HOME=/', PATH, 'TERM=linux'])
    t.same(await environment(guest, {}), ['HOME=/root', PATH, 'TERM=linux'])
  })

  test('an init, one in the place of a reaper, and a process on its own are theirs alike', async (t) => {
    const { guest } = await guestWith(t)
    const { root } = await guest.context()
    const sleeper = { argv: ['/bin/sleep', '1000'], user: 'alice' }
    const withInit = await guestOf(t, daemon, { root, init: sleeper })
    const bare = await guestOf(t, daemon, { root })
    await bare.start(['/bin/sleep', '1000'])
    // Pids of a Linux-VServer context are hidden in the host's /proc.
    const inside = 'for p in /proc/[0-9]*; do read name < $p/comm; [ $name = sleep ] && cat $p/status; done'
    const ofAlice = /^Uid:\s+1500(\s+1500){3}\nGid:\s+1600(\s+1600){3}\n(.*\n)?Groups:\s+1700 1701 *$/m
    t.match((await withInit.shell(inside)).stdout, ofAlice)
    await bare.start(sleeper.argv, { user: 'alice', flags: ['SET_INIT'] })
    t.match((await bare.shell(inside)).stdout, ofAlice)
    await guest.start(sleeper.argv, { user: 'alice' })
    t.match((await guest.shell(inside)).stdout, ofAlice)
  })

  test('a guest without accounts has ids all the same', async (t) => {
    const { guest } = await guestWith(t, {})
    t.equal(await id(guest, 33), 'uid=33 gid=65534 groups=65534')
    t.equal(await id(guest, 0), 'uid=0 gid=0 groups=0')
    t.equal(await id(guest, '33:5'), 'uid=33 gid=5 groups=5')
    t.same(await environment(guest, { user: 0 }), ['HOME=/', PATH, 'TERM=linux'])
  })

  test('lines that make no sense are passed over', async (t) => {
    const lines = [
      'alice:x:1:1:a:/nul\0:/bin/sh',
      'alice',
      'alice:x:-1:1::/:',
      'alice:x:1x:1::/:',
      'alice:x:4294967295:1::/:',
      'alice:x:99999999999999999999:1::/:',
      'alice:x:2:::/:',
      `alice:x:3:3:${'g'.repeat(20_000)}:/:/bin/sh`,
      `alice:x:4:4::/${'h'.repeat(2000)}:/bin/sh`,
      ':x:1500:1::/nobody:',
      'alice:x:1500:1600::relative/home:/bin/sh'
    ]
    const { guest } = await guestWith(t, {
      passwd: lines.join('\n'), // the last one has no end
      group: `alice\nx:alice:alice:alice\nlong:x:5:${'m,'.repeat(10_000)}alice\nstaff:x:1700:,,alice,`
    })
    t.match(await id(guest, 'alice'), /^uid=1500\(.*\) gid=1600 groups=1600,1700\(staff\)$/)
    t.equal((await environment(guest, { user: 'alice' }))[0], 'HOME=/')
  })

  test('only the first mebibyte of a file is looked at', async (t) => {
    const filler = `${'#'.repeat(1023)}\n`
    const { guest } = await guestWith(t, { passwd: filler.repeat(1023) + passwd })
    t.match(await id(guest, 'alice'), /^uid=1500/)
    const beyond = await guestWith(t, { passwd: filler.repeat(1024) + passwd })
    t.match(await daemon.post(`${beyond.guest.path}/processes`, { argv: ['/bin/cat'], user: 'alice' }), {
      status: 422,
      body: { call: 'getpwnam' }
    })
  })

  test('a link stays inside the root, and no file holds anybody up', async (t) => {
    const { guest, file } = await guestWith(t)
    const start = (user: unknown) => daemon.post(`${guest.path}/processes`, { argv: status, capture: true, user })
    const replaced = (make: (path: string) => void) => {
      rmSync(file('passwd'), { recursive: true })
      make(file('passwd'))
    }
    writeFileSync(file('accounts'), passwd)
    for (const target of ['/etc/accounts', '../../../../../etc/accounts', 'accounts']) {
      replaced((path) => {
        symlinkSync(target, path)
      })
      t.match(await id(guest, 'alice'), /^uid=1500/, target)
    }
    // The host has www-data, the guest has not; and what has no end, or no start, is no file of accounts.
    const unreadable = { errno: 'EINVAL', call: 'open', detail: '/etc/passwd of the guest is no file that can be read' }
    for (const [what, make, problem] of [
      [
        'a link to the host',
        (path: string) => {
          symlinkSync('/proc/1/root/etc/passwd', path)
        },
        unreadable
      ],
      [
        'a circle',
        (path: string) => {
          symlinkSync('passwd', path)
        },
        unreadable
      ],
      ['a FIFO', (path: string) => execFileSync('mkfifo', [path]), unreadable],
      ['a directory', (path: string) => mkdirSync(path, { recursive: true }), unreadable],
      ['a device without end', (path: string) => execFileSync('mknod', [path, 'c', '1', '5']), unreadable]
    ] as const) {
      replaced(make)
      t.match(await start('www-data'), { status: 422, body: problem }, what)
      t.match(await start(33), { status: 200, body: { stdout: /^Uid:\s+33\s.*\nGid:\s+65534\s/m } }, what)
    }
  })

  test('a lease on the file is told of at once, and hurts nobody who needs no name', async (t) => {
    const { guest, file } = await guestWith(t)
    // F_SETLEASE, F_WRLCK (fcntl(2)); SIGIO, which tells of the break, is not minded.
    const script = `open F, '<', $ARGV[0]; $SIG{IO} = 'IGNORE'; fcntl(F, 1024, 1) or die $!; syswrite STDOUT, 'held'; sleep 1000`
    const holder = spawn('perl', ['-e', script, file('passwd')], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    const start = (more: object) => daemon.post(`${guest.path}/processes`, { argv: status, capture: true, ...more })
    const held = {
      status: 503,
      body: { errno: 'EAGAIN', call: 'open', detail: '/etc/passwd of the guest is held by a lease' }
    }
    t.match(await start({ user: 'alice' }), held)
    t.match(await start({ user: 33 }), held, 'who it is cannot be known')
    t.match(await start({}), { status: 200, body: { stdout: /^Uid:\s+0\s/m } })
  })

  test('a captured process of another user can open its own input and output', async (t) => {
    const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'] } })
    const script =
      'echo a >/dev/stdout; echo b >/dev/stderr; echo c >/proc/self/fd/1; echo d >/proc/self/fd/2; cat /dev/stdin; cat /proc/self/fd/0'
    for (const user of [{ uid: 33 }, 4242, 'www-data', undefined])
      matches(t, await guest.shell(script, { user, stdin: 'input\n' }), {
        stdout: 'a\nc\ninput\n',
        stderr: 'b\nd\n',
        exit_code: 0
      })
  })

  test("without input descriptor 0 is the guest's /dev/null, captured or not", async (t) => {
    const init = ['/bin/sh', '-c', 'echo init $(readlink /proc/self/fd/0) $(umask); exec sleep 1000']
    const guest = await guestOf(t, daemon, { init: { argv: init, umask: '027' } })
    await hasLine(guest, 'init /dev/null 0027')
    const script = 'readlink /proc/self/fd/0; cat; echo x >/dev/stdin'
    for (const user of [undefined, 33])
      matches(t, await guest.shell(script, { user }), { stdout: '/dev/null\n', stderr: '', exit_code: 0 })
    await guest.start(['/bin/sh', '-c', 'readlink /proc/self/fd/0'], { user: 33 })
    await hasLine(guest, '/dev/null')
  })

  test('umask and resource limits are those that were asked for', async (t) => {
    const guest = await guestOf(t, daemon, { init: { argv: ['/bin/sleep', '1000'] } })
    const limits = 'umask; ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc'
    const rlimits = { nofile: { soft: 100, hard: 200 }, core: { soft: 0, hard: 0 } }
    for (const user of [undefined, 33])
      t.equal((await guest.shell(limits, { umask: '077', rlimits, user })).stdout, '0077\n100\n200\n0\n0\n')
    t.equal((await guest.shell('umask')).stdout, '0022\n')
    const most = Number((await guest.shell('ulimit -Hn')).stdout)
    const nofile = { soft: 100, hard: most + 1 }
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/bin/true'], rlimits: { nofile } }), {
      status: 422,
      body: { errno: 'EINVAL', call: 'setrlimit', detail: `nofile is above ${most}, which guests may have at most` }
    })
  })
})

/** The addon's calls on files, sockets and attributes, called directly. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CallError } from '../../daemon/drivers/errors.js'
import { cgroup2Mounts } from '../../daemon/drivers/namespaces/cgroup2-mounts.js'
import { errnoName, launcherPath, native } from '../../daemon/drivers/native.js'
import { needsRoot, statusField } from '../support/proc.js'

function folder(t: Test): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'contextd-test-')))
  t.teardown(() => {
    rmSync(path, { recursive: true })
  })
  return path
}

function cgroup(t: Test): string {
  const path = join(
    cgroup2Mounts()[0]?.path ?? '',
    `contextd-native-${process.pid}-${Math.random().toString(36).slice(2)}`
  )
  mkdirSync(path)
  t.teardown(() => {
    rmdirSync(path)
  })
  return path
}

/** What the call throws, as far as a caller looks at it. */
function failure(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error instanceof CallError ? [error.code, error.call] : error
  }
  return 'nothing'
}

void t.test('the credentials of the other end are those of the process that connected', async (t) => {
  const path = join(folder(t), 'socket')
  const server = createServer().listen(path)
  await once(server, 'listening')
  const client = connect(path)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    client.destroy()
    accepted.destroy()
    server.close()
  })
  const { fd } = (accepted as unknown as { _handle: { fd: number } })._handle
  t.same(native.peerCredentials(fd), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() })
  t.same(
    native.peerGroups(fd),
    [...(statusField('self', 'Groups') ?? '').matchAll(/\d+/g)].map(([gid]) => Number(gid))
  )
})

void t.test('what is no socket has no peer', async (t) => {
  const fd = openSync('/dev/null', 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  t.same(
    failure(() => native.peerCredentials(fd)),
    ['ENOTSOCK', 'getsockopt']
  )
  t.same(
    failure(() => native.peerCredentials(-1)),
    ['EBADF', 'getsockopt']
  )
  t.same(
    failure(() => native.peerGroups(fd)),
    ['ENOTSOCK', 'getsockopt']
  )
})

void t.test('a lock is held until its descriptor is closed', async (t) => {
  const path = join(folder(t), 'lock')
  const [first, second] = [openSync(path, 'w'), openSync(path, 'w')]
  t.equal(native.tryLock(first), true)
  t.equal(native.tryLock(first), true, 'again by its holder')
  t.equal(native.tryLock(second), false)
  closeSync(first)
  t.equal(native.tryLock(second), true)
  closeSync(second)
  t.same(
    failure(() => native.tryLock(-1)),
    ['EBADF', 'fcntl']
  )
})

void t.test(
  'attributes are kept as they are written, and one that is not there is undefined',
  needsRoot(),
  async (t) => {
    const path = cgroup(t)
    t.equal(native.getAttribute(path, 'trusted.contextd.name'), undefined)
    for (const value of ['web1', '', 'ž€\n=', 'x'.repeat(4000)]) {
      native.setAttribute(path, 'trusted.contextd.name', value)
      t.equal(native.getAttribute(path, 'trusted.contextd.name'), value)
    }
    t.same(
      failure(() => native.getAttribute(`${path}-missing`, 'trusted.contextd.name')),
      ['ENOENT', 'getxattr']
    )
    t.same(
      failure(() => {
        native.setAttribute(`${path}-missing`, 'trusted.contextd.name', 'x')
      }),
      ['ENOENT', 'setxattr']
    )
    t.same(
      failure(() => {
        native.setAttribute(path, 'nonsense', 'x')
      }),
      ['EOPNOTSUPP', 'setxattr']
    )
  }
)

void t.test('a guest root is a directory that is reached without a symbolic link', async (t) => {
  const directory = folder(t)
  const at = (name: string) => join(directory, name)
  mkdirSync(at('real/inner'), { recursive: true })
  writeFileSync(at('file'), '')
  symlinkSync(at('real'), at('link'))
  for (const good of [directory, at('real'), at('real/inner'), `${at('real')}/`, '/'])
    t.equal(
      failure(() => {
        native.checkRoot(good)
      }),
      'nothing',
      good
    )
  const bad = [
    ['file', 'ENOTDIR'],
    ['missing', 'ENOENT'],
    ['link', 'ELOOP'],
    ['link/inner', 'ELOOP'],
    ['real/../link', 'ELOOP']
  ] as const
  for (const [name, code] of bad)
    t.same(
      failure(() => {
        native.checkRoot(at(name))
      }),
      [code, 'openat2'],
      name
    )
  t.same(
    failure(() => {
      native.checkRoot(`/proc/${process.pid}/cwd`)
    }),
    ['ELOOP', 'openat2'],
    'a magic link is one too'
  )
})

void t.test(
  'what a guest gets of the launcher and of /dev/null cannot be changed through it',
  needsRoot(),
  async (t) => {
    const files = native.prepareLauncher(launcherPath)
    t.teardown(() => {
      closeSync(files.program)
      closeSync(files.null)
    })
    const program = `/proc/self/fd/${files.program}`
    const modes = () => [statSync(launcherPath).mode, statSync('/dev/null').mode]
    const before = modes()
    t.ok(readFileSync(program).equals(readFileSync(launcherPath)), 'it is the launcher')
    t.throws(() => writeSync(files.program, 'x'), { code: 'EBADF' }, 'its descriptor is for reading')
    for (const change of [
      () => {
        writeFileSync(program, 'x', { flag: 'r+' })
      },
      () => {
        truncateSync(program, 0)
      },
      () => {
        chmodSync(program, 0o777)
      },
      () => {
        fchmodSync(files.program, 0o777)
      },
      () => {
        fchmodSync(files.null, 0o600)
      },
      () => {
        fchownSync(files.null, 1, 1)
      }
    ])
      t.throws(change, { code: 'EROFS' }, String(change))
    t.equal(writeSync(files.null, 'lost'), 4, '/dev/null takes what is written')
    t.same(modes(), before)
    t.same(
      failure(() => native.prepareLauncher('/nowhere')),
      ['ENOENT', 'open']
    )
  }
)

void t.test('the launcher run by hand says so and exits with 2', async (t) => {
  for (const argv of [[], ['--help']]) {
    const { status, stderr, stdout } = spawnSync(launcherPath, argv, { encoding: 'utf8' })
    t.equal(status, 2)
    t.match(stderr, /started by the contextd daemon, not by hand/)
    t.equal(stdout, '')
  }
})

void t.test('an error has the name of its errno, the call and what was attempted', async (t) => {
  t.throws(
    () => {
      native.checkRoot('/nowhere')
    },
    { name: 'CallError', code: 'ENOENT', call: 'openat2', detail: '/nowhere' }
  )
  t.equal(errnoName(3), 'ESRCH')
  t.equal(errnoName(4095), 'E4095')
})

void t.test('an argument of the wrong type is a TypeError, not a crash', async (t) => {
  const loose = native as unknown as Record<string, (...args: unknown[]) => unknown>
  for (const name of Object.keys(loose))
    for (const args of [[], [{}], [null, null, null, null, null]])
      t.throws(() => loose[name]?.(...args), TypeError, name)
})

void t.test('room on disk is reserved without a longer file, and what cannot be had is ENOSPC', (t) => {
  const path = join(folder(t), 'file')
  const fd = openSync(path, 'w')
  t.teardown(() => {
    closeSync(fd)
  })
  t.equal(native.reserve(fd, 0, 1 << 20), true)
  const { size, blocks } = statSync(path)
  t.equal(size, 0)
  t.ok(blocks * 512 >= 1 << 20)
  t.throws(() => native.reserve(fd, 0, Number.MAX_SAFE_INTEGER), { code: /^(ENOSPC|EFBIG)$/, call: 'fallocate' })
  t.throws(() => native.reserve(-1, 0, 1), { code: 'EBADF' })
  const proc = openSync('/proc/self/comm', 'r+')
  t.teardown(() => {
    closeSync(proc)
  })
  t.throws(() => native.reserve(proc, 0, 0), { code: 'EINVAL' })
  t.end()
})

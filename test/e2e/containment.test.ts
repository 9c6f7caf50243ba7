/** A guest tries to get out. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { isPopulated } from '../../daemon/drivers/namespaces/cgroups.js'
import { TestDaemon } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'
import { until } from '../support/poll.js'
import { isAlive, needsRoot, pidsInCgroup } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'
import { guestRoot } from '../support/root.js'

const { EPERM, ENOSYS } = constants.errno
const source = fileURLToPath(new URL('../../../test/e2e/escape.cc', import.meta.url))
const filter = fileURLToPath(new URL('../../../native/launcher/process/seccomp.cc', import.meta.url))
const init = { argv: ['/bin/sleep', '1000'] }
const perl = '/usr/bin/perl'
const tools = ['/bin/sh', '/bin/sleep', '/bin/cat', '/bin/ls']

/** A guest root with the program of escape.cc in it. */
function rootWithEscape(t: Test): string {
  const root = guestRoot(t, tools)
  execFileSync('g++', ['-static', '-O1', '-o', join(root, 'escape'), source])
  return root
}

/** What every call by the entry of 32-bit programs answers in a guest; where a machine has none, the host has none either. */
const refusedBy32 = (root: string) => Number(execFileSync(join(root, 'escape'), ['entry'])) || EPERM

onRealDrivers((test, daemon, driver) => {
  const guestWithInit = (t: Test, more: object = {}) => guestOf(t, daemon, { init, ...more })

  test('system calls that no guest needs are refused, by every table of numbers, whatever the bcaps', async (t) => {
    const bcaps = ['SYS_ADMIN', 'SYS_MODULE', 'SYS_BOOT', 'SYS_RAWIO', 'SYS_PACCT', 'DAC_READ_SEARCH', 'SYS_PTRACE']
    const root = rootWithEscape(t)
    const guest = await guestWithInit(t, { root, bcaps })
    const { stdout, exit_code } = await guest.capture(['/escape'])
    t.equal(exit_code, 0)
    const lines = stdout.trimEnd().split('\n')
    t.ok(lines.length >= 20)
    for (const line of lines) {
      const [result, table = ''] = line.split(' ').reverse()
      t.equal(Number(result), { 32: refusedBy32(root), x32: ENOSYS }[table] ?? EPERM, line)
    }
  })

  test('every call of the filter is tried by a guest, by both tables of numbers', async (t) => {
    const guest = await guestWithInit(t, { root: rootWithEscape(t) })
    const tried = new Set<string>()
    for (const args of [[], ['users']])
      for (const line of (await guest.capture(['/escape', ...args])).stdout.trimEnd().split('\n'))
        tried.add(`${line.split(' ')[0]} ${line.split(' ').at(-2)}`)
    // But those that are not refused: what nice(2) and setpriority(2) do with IGNEG_NICE is for flags.test.ts.
    const table = readFileSync(filter, 'utf8').matchAll(/^ +\{"(?!nice"|setpriority")(\w+)", \{(\w+), (\w+),/gm)
    const calls = [...table].map(([, name = '', native, compat]) => ({ name, native, compat }))
    t.ok(calls.length > 20)
    for (const { name, native, compat } of calls) {
      if (native !== 'none') t.ok(tried.has(`${name} 64`) || process.arch !== 'x64', `${name} 64`)
      if (compat !== 'none') t.ok(tried.has(`${name} 32`) || process.arch !== 'x64', `${name} 32`)
    }
  })

  test('a user namespace takes SYS_ADMIN, and C libraries fall back from clone3', async (t) => {
    const root = rootWithEscape(t)
    const guest = await guestWithInit(t, { root })
    const refused = (await guest.capture(['/escape', 'users'])).stdout.trimEnd().split('\n')
    for (const line of refused) {
      const wanted = line.startsWith('clone3') ? ENOSYS : line.includes(' 32 ') ? refusedBy32(root) : EPERM
      t.ok(line.endsWith(` ${wanted}`), line)
    }
    t.equal((await guest.shell('for i in 1 2 3; do /bin/cat /marker | /bin/cat; done')).stdout.length, 45)
  })

  test("node runs in a guest that shares the host's root", async (t) => {
    const guest = await guestWithInit(t)
    const script = 'new (require("worker_threads").Worker)("console.log(6*7)",{eval:true})'
    t.equal((await guest.capture([process.execPath, '-e', script])).stdout, '42\n')
  })

  test("files of the host's /proc and /sys are empty, and its switches are read-only", async (t) => {
    const guest = await guestWithInit(t)
    const files = ['kcore', 'kmsg', 'kallsyms', 'keys', 'key-users', 'timer_list', 'kpageflags', 'sched_debug']
    for (const file of files.map((name) => `/proc/${name}`).filter((path) => existsSync(path)))
      t.equal((await guest.shell(`head -c 100 ${file} | wc -c`)).stdout, '0\n', file)
    const directories = ['/proc/acpi', '/proc/scsi', '/proc/asound', '/sys/firmware', '/sys/kernel/debug']
    directories.push('/sys/kernel/tracing', '/sys/kernel/security', '/sys/fs/bpf', '/sys/fs/cgroup')
    for (const directory of directories.filter((path) => existsSync(path)))
      t.match(await guest.shell(`ls -A ${directory}; mkdir ${directory}/x`), { stdout: /^$/, exit_code: 1 }, directory)
    for (const file of ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger'].filter((path) => existsSync(path)))
      t.match(await guest.shell(`echo h >>${file}`), { stderr: /Read-only/ }, file)
  })

  test('no cgroup of the host is within reach, wherever it is mounted', async (t) => {
    const guest = await guestWithInit(t)
    const { stdout } = await guest.shell('cat /proc/self/mountinfo')
    const cgroups = stdout.split('\n').filter((line) => / - cgroup2? /.test(line))
    for (const line of cgroups) {
      const path = line.split(' ')[4] ?? ''
      t.equal((await guest.shell(`ls -A ${path} 2>/dev/null`)).stdout, '', path)
    }
  })

  test('neither remounting nor a device node gives a guest the disk', async (t) => {
    const root = guestRoot(t, [...tools, '/bin/mknod', '/bin/mount', '/usr/bin/head'])
    execFileSync('mknod', [join(root, 'zero'), 'c', '1', '5'])
    const guest = await guestWithInit(t, { root })
    t.not((await guest.shell('mknod /disk b 254 0')).exit_code, 0)
    t.match(await guest.shell('head -c 1 /zero'), { stdout: /^$/, stderr: /Permission denied/ })
    const sharing = await guestWithInit(t)
    t.not((await sharing.shell('mount -o remount,rw /')).exit_code, 0)
    t.not((await sharing.shell('mount -o remount,bind,rw /')).exit_code, 0)
  })

  test("none of the daemon's sockets is an abstract one", async (t) => {
    const guest = await guestWithInit(t)
    t.notMatch((await guest.shell('cat /proc/net/unix')).stdout, /@.*contextd/)
  })

  test('a root that is swapped for a symlink at any time never shows the host', async (t) => {
    const root = guestRoot(t, tools)
    const moved = `${root}-moved`
    const over = new AbortController()
    const race = (async () => {
      while (!over.signal.aborted) {
        renameSync(root, moved)
        symlinkSync('/', root)
        await new Promise((resolve) => setTimeout(resolve, 1))
        unlinkSync(root)
        renameSync(moved, root)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    let made = 0
    for (let round = 0; round < 100; round++) {
      const reply = await daemon.post('/contexts', { root, init })
      if (reply.status !== 201) {
        t.ok(reply.status < 500, reply.text)
        continue
      }
      made++
      const { xid } = expect<{ xid: number }>(201, reply)
      const seen = await daemon.post(`/contexts/${xid}/processes`, { argv: ['/bin/ls', '/'], capture: true })
      t.match(seen, { status: 200, body: { stdout: /^marker$/m } })
      await daemon.delete(`/contexts/${xid}?grace=0`)
    }
    over.abort()
    await race
    t.comment(`${made} of 100 were made`)
  })

  if (driver !== 'namespaces') return

  test('processes of the host can be neither seen, signalled nor entered', async (t) => {
    const guest = await guestWithInit(t)
    t.not((await guest.shell(`kill -0 ${process.pid}`)).exit_code, 0)
    t.not((await guest.shell(`ls /proc/${process.pid}`)).exit_code, 0)
    t.not((await guest.shell('nsenter -t 1 -m true')).exit_code, 0)
    const { initpid } = await guest.context()
    t.ok(isAlive(initpid))
  })

  test('a thousand processes and a fork bomb die by one kill', async (t) => {
    const guest = await guestWithInit(t)
    const here = `/${basename(daemon.cgroupRoot ?? '')}/contexts/${guest.xid}`
    await guest.start(['/bin/sh', '-c', 'i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; wait'])
    await until('a thousand are there', () => pidsInCgroup(here).length > 1000, 60_000)
    // Bounded by the limit of its user, so that the machine goes on whatever happens.
    const bomb = '{ ulimit -p 2000 || ulimit -u 2000 || exit; } 2>/dev/null; b() { b | b & }; b; b; sleep 1000'
    await guest.start(['/bin/sh', '-c', bomb], { user: { uid: 61234 } })
    await until('the bomb has gone off', () => pidsInCgroup(here).length > 1100, 60_000)
    const begun = performance.now()
    t.equal((await guest.kill('SIGKILL')).status, 204)
    await until(
      'all are gone',
      () => !isPopulated(join(daemon.cgroupRoot ?? '', 'contexts', String(guest.xid))),
      20_000
    )
    t.comment(`all are gone after ${Math.round(performance.now() - begun)} ms`)
  })

  test('nothing of a joining process is open to a guest that looks at each new one', async (t) => {
    const root = guestRoot(t, ['/bin/sleep', '/bin/true', perl])
    const guest = await guestWithInit(t, { root })
    // Descriptors, memory, and PTRACE_SEIZE, which stops nobody.
    const spy = `$| = 1; $end = time + 60; %seen = ();
      while (time < $end) {
        opendir D, "/proc"; @pids = grep { /^\\d+$/ && $_ > 1 && $_ != $$ } readdir D; closedir D;
        for $p (@pids) {
          print "seen $p\\n" unless $seen{$p}++;
          opendir F, "/proc/$p/fd"; @fds = map { "fd/$_" } readdir F; closedir F;
          for $f (@fds, "cwd", "root") {
            $l = readlink "/proc/$p/$f"; print "$l\\n" if defined $l && !$said{$l}++;
          }
          if (open M, "<", "/proc/$p/mem") { print "mem\\n" unless $said{mem}++; close M }
          syscall ${process.arch === 'arm64' ? 117 : 101}, 0x4206, $p, 0, 0;
          1 while waitpid(-1, 0x40000001) > 0; # __WALL | WNOHANG: who has ended is its parent's again
        }
      }`
    const spying = guest.capture([perl, '-e', spy], { timeout: 60 })
    await until('it looks', async () => (await guest.processes()).some(({ comm }) => comm === 'perl'))
    for (let i = 0; i < 50; i++) t.equal((await guest.capture(['/bin/true'])).exit_code, 0)
    for (const { pid, comm } of await guest.processes()) if (comm === 'perl') await guest.kill('SIGKILL', pid)
    const lines = (await spying).stdout.split('\n')
    t.ok(lines.filter((line) => line.startsWith('seen')).length > 5, 'it has seen some')
    for (const line of lines.filter((line) => line && !/^(seen|mem)/.test(line)))
      t.match(line, /^(\/|\/dev\/null|pipe:\[\d+\]|\/usr\/.*|\/lib.*|\/proc.*|\/etc\/ld.*)$/, line)
  })

  test("the launcher's file cannot be written through the reaper", async (t) => {
    const guest = await guestOf(t, daemon)
    await guest.start(['/bin/sleep', '1000'])
    t.not((await guest.shell('echo broken >>/proc/1/exe')).exit_code, 0)
  })
})

void t.test('a cgroup tree whose path changes stays out of reach', needsRoot(), async (t) => {
  const directory = mkdtempSync('/srv/contextd-cgroup-')
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const [before, after] = [join(directory, 'before'), join(directory, 'after')]
  // In the daemon's own view, so that the machine's mounts stay as they are.
  const mounting = `mkdir -p ${before}/tree && mount -t cgroup2 contextd-test ${before}/tree && exec "$@"`
  const daemon = await TestDaemon.start('namespaces', { through: ['unshare', '--mount', 'sh', '-c', mounting, 'sh'] })
  t.teardown(() => daemon.cleanUp())
  const shown = async (path: string) => (await (await guestOf(t, daemon, { init })).shell(`ls -A ${path}/tree`)).stdout
  t.equal(await shown(before), '')
  t.equal(await shown(before), '')
  renameSync(before, after) // no mount has changed, for whoever waits for that
  await shown(after) // by the launcher that was ready before
  t.equal(await shown(after), '')
})

/** Where contexts live, and with whom: delegated cgroups, as systemd gives them to its units, and refusals. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { cgroup2Mounts } from '../../daemon/drivers/namespaces/cgroup2-mounts.js'
import { killAll, removeTree } from '../../daemon/drivers/namespaces/cgroups.js'
import { native } from '../../daemon/drivers/native.js'
import { contextd, curl, run } from '../support/command.js'
import { mainPath } from '../support/daemon.js'
import { until } from '../support/poll.js'
import { childrenOf, isAlive, needsRoot } from '../support/proc.js'

const mount = cgroup2Mounts()[0]?.path ?? ''
const cgroupOf = (pid: number | string) => /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1]

/** A cgroup like that of a unit with Delegate=yes, which outlives the processes of a start. */
function unitOf(t: Test): string {
  const unit = join(mount, `contextd-test-${process.pid}-${Math.random().toString(36).slice(2, 8)}.service`)
  mkdirSync(unit)
  native.setAttribute(unit, 'trusted.delegate', '1')
  t.teardown(async () => {
    killAll(unit)
    await until('the unit is gone', () => {
      try {
        removeTree(unit)
      } catch {
        return false
      }
      return true
    })
  })
  return unit
}

interface Started {
  daemon: ChildProcess & { pid: number }
  socket: string
  stop: (signal: NodeJS.Signals) => Promise<void>
}

/** Starts a daemon as systemd does: in the cgroup first, then exec. */
async function startIn(t: Test, cgroup: string, args: string[] = []): Promise<Started> {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-test-'))
  const socket = join(directory, 'contextd.sock')
  const serve = ['serve', '--driver', 'namespaces', '--socket', socket, '--audit-log', join(directory, 'audit.log')]
  const logs = ['--log-dir', join(directory, 'log')]
  const daemon = spawn(
    '/bin/sh',
    [
      '-c',
      'echo $$ >"$0" && exec "$@"',
      join(cgroup, 'cgroup.procs'),
      process.execPath,
      mainPath,
      ...serve,
      ...logs,
      ...args
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] }
  ) as Started['daemon']
  const stop = async (signal: NodeJS.Signals) => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return
    const exited = once(daemon, 'exit')
    daemon.kill(signal)
    await exited
  }
  t.teardown(async () => {
    await stop('SIGTERM')
    rmSync(directory, { recursive: true, force: true })
  })
  await until('the daemon serves', () => existsSync(socket) || daemon.exitCode !== null)
  return { daemon, socket, stop }
}

const guest = { xid: 100, flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
const initpidOf = async (socket: string) =>
  ((await curl(socket, 'GET', '/contexts/100')).body as { initpid: number }).initpid

void t.test(
  'in a delegated cgroup the daemon and its launchers have a group beside the contexts',
  needsRoot(),
  async (t) => {
    const unit = unitOf(t)
    const { daemon, socket } = await startIn(t, unit)
    t.equal((await curl(socket, 'POST', '/contexts', guest)).status, 201)
    t.equal(cgroupOf(daemon.pid), `/${basename(unit)}/daemon`)
    for (const child of childrenOf(daemon.pid)) t.equal(cgroupOf(child), `/${basename(unit)}/daemon`)
    t.equal(cgroupOf(await initpidOf(socket)), `/${basename(unit)}/contexts/100`)
    t.equal(readFileSync(join(unit, 'cgroup.procs'), 'utf8'), '', 'nothing is between them')
  }
)

void t.test(
  'a unit that starts again finds its contexts, wherever in its cgroup it is started',
  needsRoot(),
  async (t) => {
    const unit = unitOf(t)
    const first = await startIn(t, unit)
    await curl(first.socket, 'POST', '/contexts', guest)
    const initpid = await initpidOf(first.socket)
    // KillMode=process: the main process gets the signal, the rest is left alone.
    for (const [signal, cgroup] of [
      ['SIGTERM', unit],
      ['SIGKILL', join(unit, 'daemon')] // DelegateSubgroup=daemon
    ] as const) {
      await first.stop(signal)
      const next = await startIn(t, cgroup)
      t.equal(await initpidOf(next.socket), initpid)
      t.ok(isAlive(initpid))
      t.equal(cgroupOf(next.daemon.pid), `/${basename(unit)}/daemon`)
      await next.stop(signal)
    }
  }
)

void t.test('--cgroup-root wins, and is below the mount when it is relative', needsRoot(), async (t) => {
  const unit = unitOf(t)
  const other = unitOf(t)
  const { daemon, socket } = await startIn(t, unit, ['--cgroup-root', `${basename(other)}/below`])
  t.equal((await curl(socket, 'POST', '/contexts', guest)).status, 201)
  t.equal(cgroupOf(await initpidOf(socket)), `/${basename(other)}/below/contexts/100`)
  t.equal(cgroupOf(daemon.pid), `/${basename(unit)}`, 'it stays where it is')
})

void t.test('what else runs in a delegated home is moved beside the contexts', needsRoot(), async (t) => {
  const unit = unitOf(t)
  const keeper = spawn('/bin/sh', ['-c', 'echo $$ >"$0" && exec sleep 1000', join(unit, 'cgroup.procs')])
  t.teardown(() => keeper.kill())
  await until('it is there', () => cgroupOf(keeper.pid ?? 0) === `/${basename(unit)}`)
  const { socket } = await startIn(t, mount, ['--cgroup-root', unit])
  t.equal((await curl(socket, 'POST', '/contexts', guest)).status, 201)
  t.equal(cgroupOf(keeper.pid ?? 0), `/${basename(unit)}/daemon`)
})

void t.test('a cgroup that is not delegated is left as it is', needsRoot(), async (t) => {
  const unit = unitOf(t)
  native.setAttribute(unit, 'trusted.delegate', '0')
  const { daemon, socket } = await startIn(t, unit, ['--cgroup-root', unit])
  t.equal((await curl(socket, 'POST', '/contexts', guest)).status, 201)
  t.equal(cgroupOf(daemon.pid), `/${basename(unit)}`)
})

void t.test('a cgroup that cannot be written is refused, with the reason', needsRoot(), async (t) => {
  const unit = unitOf(t)
  const serve = ['serve', '--driver', 'namespaces', '--cgroup-root', unit, '--socket', join(unit, 'never')]
  const readOnly = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
  const { code, stderr } = await run('unshare', [
    '-m',
    'sh',
    '-c',
    readOnly,
    unit,
    process.execPath,
    mainPath,
    ...serve
  ])
  t.equal(code, 1)
  t.match(
    stderr,
    `contextd: ${unit}/contexts: contexts cannot live there; --cgroup-root names another place (mkdir: EROFS)`
  )
  const outside = await contextd(['serve', '--driver', 'namespaces', '--cgroup-root', '/tmp/x'])
  t.equal(outside.code, 1)
  t.match(outside.stderr, '/tmp/x is not inside a cgroup2 mount')
})

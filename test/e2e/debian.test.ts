/** A whole distribution as a guest: Debian, with an init of its own, set up by test/support/debian-root. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { run } from '../support/command.js'
import { guestOf, type Captured, type Guest } from '../support/guest.js'
import { until } from '../support/poll.js'
import { mountsOfHost } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'

const TIMEOUT_MS = 900_000 // a first time fetches packages
t.setTimeout(TIMEOUT_MS)

const debianRoot = fileURLToPath(new URL('../../../test/support/debian-root', import.meta.url))
const packages = ['sysvinit-core', 'procps', 'hostname']

/** Takes minutes where packages are fetched, so it must not keep the test's connections from noticing their end. */
async function newRoot(t: Test): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-debian-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const root = join(directory, 'root')
  const { code, stderr } = await run(debianRoot, [root, ...packages], { timeout: TIMEOUT_MS })
  if (code !== 0) throw new Error(`debian-root ended with ${code}: ${stderr}`)
  return root
}

const canMakeRoots = spawnSync('mmdebstrap', ['--version']).status === 0

const packagesOfHost = () => execFileSync('dpkg-query', ['-W'], { encoding: 'utf8' })
const usersOfHost = () => readFileSync('/etc/passwd', 'utf8')

function succeeded(t: Test, { exit_code, stdout, stderr }: Captured, what: string): string {
  t.equal(exit_code, 0, `${what}: ${stderr}`)
  return stdout
}

const comms = async (guest: Guest) => (await guest.processes()).map(({ comm }) => comm)

/** Waits until the init has started all it starts. */
const booted = (guest: Guest) =>
  until(
    'its terminals are there, and no start script any more',
    async () => {
      const running = await comms(guest)
      return running.includes('getty') && running.every((comm) => ['init', 'getty', 'sleep'].includes(comm))
    },
    120_000
  )

onRealDrivers((test, daemon, driver) => {
  // Debian's init is nothing but a client of the running one when its pid is not 1, which the emulator does not make it.
  const hasInit = driver === 'namespaces'
  const init = { argv: hasInit ? ['/sbin/init'] : ['/bin/sleep', 'infinity'] }

  test('Debian is a guest with packages, users and services of its own', async (t) => {
    if (!canMakeRoots) {
      t.plan(0, "needs Debian's mmdebstrap")
      return
    }
    t.setTimeout(0)
    const root = await newRoot(t)
    const before = { mounts: mountsOfHost(), packages: packagesOfHost(), users: usersOfHost() }
    const guest = await guestOf(t, daemon, { root, uname: { nodename: 'bookworm' }, init })
    if (hasInit) await booted(guest)

    await t.test('its name and its mounts are those of the guest', async (t) => {
      t.equal(succeeded(t, await guest.capture(['hostname']), 'hostname'), 'bookworm\n')
      t.equal(succeeded(t, await guest.shell('. /etc/os-release; echo $ID'), 'os-release'), 'debian\n')
      const mounts = succeeded(t, await guest.capture(['cat', '/proc/mounts']), 'cat')
        .trimEnd()
        .split('\n')
      t.ok(mounts.length > 3)
      for (const line of mounts) t.match(line, /^\S+ \/((dev|proc)(\/\S*)?)? /)
    })

    await t.test('dpkg lists, installs and removes packages in it, and none on the host', async (t) => {
      const installed = succeeded(t, await guest.capture(['dpkg-query', '-W', '-f', '${Package}\n']), 'dpkg-query')
      for (const name of packages) t.ok(installed.split('\n').includes(name), name)
      const build = `set -e
        mkdir -p /tmp/made/DEBIAN /tmp/made/opt
        echo hello >/tmp/made/opt/contextd-was-here
        cat >/tmp/made/DEBIAN/control
        dpkg-deb --root-owner-group --build /tmp/made /tmp/made.deb
        dpkg --install /tmp/made.deb`
      const control = 'Package: contextd-test\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n'
      succeeded(t, await guest.shell(build, { stdin: control }), 'dpkg --install')
      t.equal(readFileSync(join(root, 'opt/contextd-was-here'), 'utf8'), 'hello\n')
      t.notOk(existsSync('/opt/contextd-was-here'))
      succeeded(t, await guest.capture(['apt-get', 'remove', '-y', 'contextd-test']), 'apt-get remove')
      t.notOk(existsSync(join(root, 'opt/contextd-was-here')))
    })

    await t.test('its users are kept apart by permissions', async (t) => {
      succeeded(t, await guest.capture(['useradd', '-m', '-u', '4321', 'alice']), 'useradd')
      t.equal(succeeded(t, await guest.capture(['su', 'alice', '-c', 'id -un; id -u']), 'su'), 'alice\n4321\n')
      const denied = await guest.capture(['su', 'alice', '-c', 'cat /etc/shadow'])
      t.match(denied, { exit_code: 1, stderr: /Permission denied/ })
    })

    if (hasInit) {
      await t.test('its init is PID 1, starts services anew, and halts the guest', async (t) => {
        const listed = succeeded(t, await guest.capture(['ps', '-e', '-o', 'pid=,comm=']), 'ps')
          .trimEnd()
          .split('\n')
        t.match(listed[0], /^\s*1 init$/)
        for (const line of listed) t.match(line, /^\s*\d+ (init|getty|ps)$/, 'no process of the host')
        succeeded(t, await guest.shell('echo t1:2:respawn:/bin/sleep 77777 >>/etc/inittab; kill -HUP 1'), 'kill')
        const service = async () => (await guest.processes()).find(({ comm }) => comm === 'sleep')?.pid
        const first = await until('it runs', service)
        t.equal((await guest.kill('SIGKILL', first)).status, 204)
        await until('it runs again', async () => ![undefined, first].includes(await service()))
        const waiting = daemon.post(`${guest.path}/wait?timeout=60`)
        await guest.hasWaiters(1)
        succeeded(t, await guest.capture(['poweroff']), 'poweroff')
        t.match(await waiting, { status: 200, body: { reboot_cmd: 'HALT' } })
      })
    }

    const again = await guestOf(t, daemon, { root, init })
    if (hasInit) await booted(again)
    t.equal((await daemon.delete(`${again.path}?grace=1`)).status, 204)
    t.equal((await daemon.get(again.path)).status, 404)
    t.same(
      { mounts: mountsOfHost(), packages: packagesOfHost(), users: usersOfHost() },
      before,
      'the host is as it was'
    )
  })
})

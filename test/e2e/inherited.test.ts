/** Nothing of how the daemon was started reaches a guest, and nothing that a guest has put into its root leads out of it. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TestDaemon, type StartOptions } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { hasLine } from '../support/log.js'
import { FILE_LIMIT_MS } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { guestRoot } from '../support/root.js'

t.setTimeout(FILE_LIMIT_MS)

const drivers: Record<'namespaces' | 'vserver', StartOptions> = { namespaces: {}, vserver: { emulator: [] } }
type Name = keyof typeof drivers

async function started(t: Test, driver: Name, through: string[]): Promise<TestDaemon> {
  const daemon = await TestDaemon.start(driver, { ...drivers[driver], through })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const status = '/proc/self/status'
const field = (text: string, name: string) => new RegExp(`^${name}:\\s+(\\S+)$`, 'm').exec(text)?.[1]

for (const driver of ['namespaces', 'vserver'] as const)
  void t.test(
    `${driver}: umask, signals and capabilities of the daemon are not its guests'`,
    needsRoot(),
    async (t) => {
      // SIGUSR2 blocked, an ambient set, and a umask that would hide files.
      const block = 'use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR2)); umask 077; exec @ARGV or die $!'
      const caps = ['setpriv', '--inh-caps', '+net_raw,+sys_admin', '--ambient-caps', '+net_raw,+sys_admin']
      const daemon = await started(t, driver, [...caps, 'perl', '-e', block])
      const own = readFileSync(`/proc/${daemon.pid}/status`, 'utf8')
      t.equal(field(own, 'Umask'), '0077', 'the daemon has it')
      t.not(Number(`0x${field(own, 'CapAmb') ?? ''}`), 0, 'and the set')

      const said = `while read -r name value; do case $name in Umask:|SigBlk:|CapInh:|CapAmb:) echo "$1 $name $value";; esac; done <${status}`
      const script = (who: string, then = ':') => ['/bin/sh', '-c', `set -- ${who}; ${said}; ${then}`]
      const none = '0000000000000000'
      const guest = await guestOf(t, daemon, { init: { argv: script('init', 'exec sleep 1000') } })
      const expected = (who: string, inheritable = none) => [
        `${who} Umask: 0022`,
        `${who} CapInh: ${inheritable}`,
        `${who} CapAmb: ${none}`,
        `${who} SigBlk: ${none}`
      ]
      for (const line of expected('init')) await hasLine(guest, line)
      t.same(
        (await guest.capture(script('captured'))).stdout.trimEnd().split('\n').toSorted(),
        expected('captured').toSorted()
      )
      await guest.start(script('alone'))
      for (const line of expected('alone')) await hasLine(guest, line)
      const bare = await guestOf(t, daemon)
      await bare.start(['/bin/sleep', '1000'])
      await bare.start(script('late', 'exec sleep 1000'), { flags: ['SET_INIT'] })
      for (const line of expected('late')) await hasLine(bare, line)
      if (driver !== 'namespaces') return
      // What bcaps allow is not cut by them: the ambient set is emptied for its own sake.
      const raw = await guestOf(t, daemon)
      t.equal((await daemon.patch(`${raw.path}/bcaps`, { set: ['NET_RAW'] })).status, 200)
      t.match((await raw.capture(['/bin/cat', status])).stdout, /^CapAmb:\t0000000000000000$/m)
    }
  )

void t.test('a reaper gives no more to an init than bcaps had when it was started', needsRoot(), async (t) => {
  const daemon = await started(t, 'namespaces', [])
  const guest = await guestOf(t, daemon)
  await guest.start(['/bin/sleep', '1000'])
  for (const change of [{ set: ['NET_ADMIN'] }, { clear: ['NET_ADMIN', 'CHOWN'] }]) {
    t.equal((await daemon.patch(`${guest.path}/bcaps`, change)).status, 200)
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/bin/sleep', '1000'], flags: ['SET_INIT'] }), {
      status: 403,
      body: { errno: 'EPERM', detail: /bcaps have changed/ }
    })
  }
  t.equal((await daemon.patch(`${guest.path}/bcaps`, { set: ['CHOWN'] })).status, 200)
  t.ok(await guest.start(['/bin/sleep', '1000'], { flags: ['SET_INIT'] }), 'the same ones will do')
})

void t.test('every file that is said to be covered in /proc reads as empty', needsRoot(), async (t) => {
  const source = readFileSync(new URL('../../../native/launcher/mounts/guest_files.h', import.meta.url), 'utf8')
  const [, list = ''] = /covered_in_proc\[\] = \{([^}]*)\}/.exec(source) ?? []
  const paths = [...list.matchAll(/"([^"]+)"/g)].map(([, path = '']) => path)
  for (const known of ['/proc/kcore', '/proc/kpagecount', '/proc/kpagecgroup', '/proc/keys'])
    t.ok(paths.includes(known), known)
  const daemon = await started(t, 'namespaces', [])
  const guest = await guestOf(t, daemon)
  for (const path of paths.filter((path) => existsSync(path))) {
    const { stdout } = await guest.shell(`if [ -d ${path} ]; then ls -A ${path}; else head -c 100 ${path}; fi`)
    t.equal(stdout, '', path)
  }
})

void t.test('a link that a root has in the place of a directory is not followed', needsRoot(), async (t) => {
  const daemon = await started(t, 'namespaces', [])
  for (const name of ['proc', 'dev']) {
    const root = guestRoot(t, ['/bin/sleep'])
    mkdirSync(join(root, 'elsewhere'))
    rmSync(join(root, name), { recursive: true, force: true })
    symlinkSync('elsewhere', join(root, name))
    const refused = await daemon.post('/contexts', { root, init: { argv: ['/bin/sleep', '1'] } })
    t.match(refused, { status: 422, body: { errno: 'ELOOP', call: 'openat2' } }, name)
  }
  const root = guestRoot(t, ['/bin/sleep'])
  const guest = await guestOf(t, daemon, { root })
  renameSync(root, `${root}.moved`)
  symlinkSync(`${root}.moved`, root)
  const refused = await daemon.post(`${guest.path}/processes`, { argv: ['/bin/sleep', '1'] })
  rmSync(root)
  renameSync(`${root}.moved`, root)
  t.match(refused, { status: 422, body: { errno: 'ELOOP', call: 'openat2' } }, 'on the way to the root')
})

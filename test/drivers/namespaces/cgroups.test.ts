import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroup2Mounts } from '../../../daemon/drivers/namespaces/cgroup2-mounts.js'
import { CgroupHome } from '../../../daemon/drivers/namespaces/cgroups.js'
import { ownCgroup } from '../../../daemon/drivers/namespaces/delegation.js'
import { needsRoot } from '../../support/proc.js'

const unified = `21 26 0:20 / /sys rw,nosuid - sysfs sysfs rw
30 21 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`
const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime shared:7 master:1 - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
const legacy = hybrid.split('\n').slice(0, 3).join('\n')

void t.test('the mount of a unified hierarchy is found', async (t) => {
  t.same(cgroup2Mounts(unified), [{ root: '/', path: '/sys/fs/cgroup' }])
})

void t.test('the one cgroup2 mount beside many of version 1 is found', async (t) => {
  t.same(cgroup2Mounts(hybrid), [{ root: '/', path: '/sys/fs/cgroup/unified' }])
})

void t.test('where there is none, none is found', async (t) => {
  t.same(cgroup2Mounts(legacy), [])
  t.same(cgroup2Mounts(''), [])
})

void t.test('escaped characters of paths are read', async (t) => {
  const line = String.raw`41 31 0:38 /a\040b /mnt/tab\011new\012line\134slash rw - cgroup2 none rw`
  t.same(cgroup2Mounts(line), [{ root: '/a b', path: '/mnt/tab\tnew\nline\\slash' }])
})

void t.test('a mount of a part of the hierarchy keeps its root', async (t) => {
  const line = '50 21 0:26 /../../docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw'
  t.same(cgroup2Mounts(line), [{ root: '/../../docker/abc', path: '/sys/fs/cgroup' }])
})

void t.test('names that look like cgroup2 in other places do not count', async (t) => {
  t.same(cgroup2Mounts('60 21 0:40 / /cgroup2 rw - tmpfs cgroup2 rw\n61 21 0:41 / /x rw - cgroup2x none rw'), [])
})

void t.test("the daemon's own cgroup is found below the mount, where the mount shows it", async (t) => {
  const all = { root: '/', path: '/sys/fs/cgroup' }
  t.equal(ownCgroup(all, '0::/system.slice/contextd.service\n'), '/sys/fs/cgroup/system.slice/contextd.service')
  t.equal(ownCgroup(all, '4:memory:/x\n0::/a b/daemon\n'), '/sys/fs/cgroup/a b/daemon')
  t.equal(ownCgroup(all, '0::/\n'), '/sys/fs/cgroup')
  t.equal(ownCgroup({ root: '/machine', path: '/mnt' }, '0::/machine/x.service\n'), '/mnt/x.service')
  t.equal(ownCgroup({ root: '/machine', path: '/mnt' }, '0::/system.slice\n'), undefined)
  t.equal(ownCgroup(all, '0::/../sibling\n'), undefined, 'above the root of a cgroup namespace')
  t.equal(ownCgroup(all, '4:memory:/x\n'), undefined, 'no cgroup2 line')
})

void t.test('a directory outside every cgroup2 mount is refused', async (t) => {
  t.throws(() => new CgroupHome('/tmp'), { name: 'CallError', code: 'ENOENT', detail: /not inside a cgroup2 mount/ })
  const [mount] = cgroup2Mounts()
  if (mount) t.throws(() => new CgroupHome(`${mount.path}-beside`), { code: 'ENOENT' })
})

void t.test('the xid of a process is read from its cgroup, and of those below it', needsRoot(), async (t) => {
  const [mount] = cgroup2Mounts()
  const root = join(mount?.path ?? '', `contextd-test-${process.pid}-home`)
  const home = new CgroupHome(root)
  t.teardown(() => {
    home.close()
    rmdirSync(home.contexts)
    rmdirSync(home.shims)
    rmdirSync(root)
  })
  const own = home.line(100)
  t.match(own, /^0::\/.*\/contexts\/100$/)
  t.equal(home.xidOf(`12:devices:/x\n${own}\n`), 100)
  t.equal(home.xidOf(`${own}/below/it\n`), 100)
  t.equal(home.xidOf(`12:devices:/x\n0::/user.slice\n`), 0)
  t.equal(home.xidOf(own.replace('0::', '1:name=systemd:')), 0, 'only the cgroup2 line counts')
  t.throws(() => new CgroupHome(root), {
    name: 'CallError',
    call: 'fcntl',
    detail: new RegExp(`another contextd manages ${root}`)
  })
})

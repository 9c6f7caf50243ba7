/** Logs of guests under rotation, on a full disk, and while no daemon runs. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { guestOf, type Guest } from '../support/guest.js'
import { Follower, hasLine, logOf, stored } from '../support/log.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { driversThatOutlive, startOf, type RealDriver } from '../support/real.js'

t.setTimeout(FILE_LIMIT_MS)

const sleeping = { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
const shell = (script: string) => ({ argv: ['/bin/sh', '-c', script] })

/** Starts a daemon of the test's own. */
async function started(t: Test, driver: RealDriver, more: string[]): Promise<TestDaemon> {
  const daemon = await TestDaemon.start(driver, { args: more, ...startOf(driver) })
  t.teardown(() => daemon.cleanUp())
  return daemon
}

const WRITERS = 6
const LINES = 3000

const drivers = driversThatOutlive(import.meta.url)
for (const driver of drivers) {
  void t.test(`${driver}: many writers under rotation mix no line and lose none`, needsRoot(), async (t) => {
    const daemon = await started(t, driver, ['--log-size', '64K', '--log-files', '99'])
    const guest = await guestOf(t, daemon, sleeping)
    const follower = new Follower(guest)
    await follower.connected
    const padding = 'x'.repeat(60)
    await Promise.all(
      Array.from({ length: WRITERS }, (_, writer) =>
        guest.start(shell(`seq -f "writer ${writer} line %.0f ${padding}" ${LINES}; echo done ${writer}`).argv)
      )
    )
    for (let writer = 0; writer < WRITERS; writer++) await follower.sees(`done ${writer}`)
    follower.hangUp()
    for (const [who, lines] of [
      ['the follower', follower.lines],
      ['a reader', await logOf(guest)]
    ] as const)
      for (let writer = 0; writer < WRITERS; writer++)
        t.same(
          lines.map(({ text }) => text).filter((text) => text.startsWith(`writer ${writer} `)),
          Array.from({ length: LINES }, (_, line) => `writer ${writer} line ${line + 1} ${padding}`),
          `${who} has all of writer ${writer}, in order`
        )
    const files = readdirSync(daemon.logDir).filter((name) => name.startsWith(`${guest.xid}.log`))
    t.ok(files.length > 10, `${files.length} files`)
    for (const name of files) t.ok(statSync(join(daemon.logDir, name)).size <= 65_536, name)
  })

  void t.test(`${driver}: a guest that writes without end takes so many files of the disk`, needsRoot(), async (t) => {
    const daemon = await started(t, driver, ['--log-size', '64K', '--log-files', '3'])
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(['/usr/bin/yes'])
    await guest.start(shell('while :; do :; done </dev/zero >/dev/null & exec cat /dev/zero').argv)
    const inodes = new Set<number>()
    await until('it is rotated again and again', () => {
      const info = statSync(join(daemon.logDir, `${guest.xid}.log`), { throwIfNoEntry: false })
      if (info) inodes.add(info.mtimeMs)
      const files = readdirSync(daemon.logDir).filter((name) => name.includes(`${guest.xid}.log`))
      t.ok(files.length <= 3, `${files.length} files`)
      return inodes.size > 20
    })
    t.equal((await daemon.get('/health')).status, 200)
    t.equal((await guest.kill('SIGKILL')).status, 204)
  })

  void t.test(`${driver}: on a full disk lines are lost and counted, and the guest goes on`, needsRoot(), async (t) => {
    const disk = mkdtempSync(join(tmpdir(), 'contextd-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'contextd-test', disk])
    const daemon = await started(t, driver, ['--log-dir', disk])
    t.teardown(() => {
      execFileSync('umount', ['--lazy', disk])
      rmSync(disk, { recursive: true })
    })
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(['/bin/echo', 'before'])
    await hasLine(guest, 'before')
    // One writer, which cannot go on unless its output is read.
    await guest.start(
      shell('seq 1 200000; touch /tmp/written; while [ -e /tmp/written ]; do sleep 0.05; done; echo after').argv
    )
    await until('it has written all', async () => (await guest.shell('test -e /tmp/written')).exit_code === 0)
    const full = await logOf(guest)
    t.ok(full.length > 1000 && full.length < 200_000, `${full.length} lines`)
    truncateSync(join(disk, `${guest.xid}.log`)) // by hand: now there is room
    await guest.shell('rm /tmp/written')
    await hasLine(guest, 'after')
    const lines = await logOf(guest)
    const [lost] = lines.filter(({ text }) => text.startsWith('contextd: '))
    t.match(lost, { stream: 'stderr', text: /^contextd: \d+ bytes of this log were lost: No space left on device$/ })
  })

  void t.test(`${driver}: what a guest writes while no daemon runs is not lost`, needsRoot(), async (t) => {
    const daemon = await started(t, driver, [])
    const counts = 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i; done; echo done; exec sleep 1000'
    const guest = await guestOf(t, daemon, { flags: ['PERSISTENT'], init: shell(counts) })
    const bare = await guestOf(t, daemon)
    const pid = await bare.start(shell(counts).argv)
    await daemon.stop('SIGKILL')
    await until('both have written all', () =>
      [guest, bare].every(({ xid }) => stored(daemon.logDir, xid).endsWith(' stdout F done\n'))
    )
    await daemon.boot()
    t.ok(await bare.has(pid))
    const wanted = [...Array.from({ length: 2000 }, (_, index) => String(index + 1)), 'done']
    for (const each of [guest, bare])
      t.same(
        (await logOf(each)).map(({ text }) => text),
        wanted
      )
    const follower = new Follower(bare, '&tail=0')
    await follower.connected
    await bare.start(['/bin/echo', 'after'])
    await follower.sees('after')
    t.equal(await daemon.stop(), 0, 'a follower does not keep the daemon from its end')
    await follower.ends()
    await daemon.boot()
  })
}

/** Writes so many numbered lines of 1 KiB at once, and waits until they are seen. */
async function write(guest: Guest, follower: Follower, from: number, count: number): Promise<void> {
  const line = `$i ${'x'.repeat(1000)}`
  await guest.start(
    shell(`i=${from}; while [ $i -lt ${from + count} ]; do echo "${line}"; i=$((i+1)); done; echo end ${from}`).argv
  )
  await follower.sees(`end ${from}`)
}

const numbersOf = (follower: Follower) =>
  follower.lines.flatMap(({ text }) => (text.startsWith('end ') ? [] : [text.split(' ')[0]]))

for (const driver of drivers) {
  void t.test(
    `${driver}: with one file alone a follower sees each line once, and of a gap only where there is one`,
    needsRoot(),
    async (t) => {
      const daemon = await started(t, driver, ['--log-size', '64K', '--log-files', '1'])
      const guest = await guestOf(t, daemon, sleeping)
      const follower = new Follower(guest)
      await follower.connected
      for (let turn = 0; turn < 8; turn++) await write(guest, follower, turn * 30, 30)
      follower.hangUp()
      t.same(
        numbersOf(follower),
        Array.from({ length: 240 }, (_, number) => String(number))
      )
    }
  )

  // A kernel before 4.11 tells no birth time of files: there a number that is given again is taken for the same file.
  if (driver === 'vserver') continue
  void t.test(
    `${driver}: a log that another program renames to any name is no gap, and nothing comes again`,
    needsRoot(),
    async (t) => {
      const daemon = await started(t, driver, ['--log-size', '64K', '--log-files', '3'])
      const guest = await guestOf(t, daemon, sleeping)
      const follower = new Follower(guest)
      await follower.connected
      const path = join(daemon.logDir, `${guest.xid}.log`)
      for (let turn = 0; turn < 8; turn++) {
        await write(guest, follower, turn * 30, 30)
        renameSync(path, `${path}-2026010${turn}`)
        await write(guest, follower, 1000 + turn * 100, 100)
      }
      follower.hangUp()
      const wanted = Array.from({ length: 8 }, (_, turn) => [
        ...Array.from({ length: 30 }, (_, number) => String(turn * 30 + number)),
        ...Array.from({ length: 100 }, (_, number) => String(1000 + turn * 100 + number))
      ])
      t.same(numbersOf(follower), wanted.flat())
    }
  )
}

/** What guests write goes to the journal of the host. That of systemd itself: test/vm/systemd.ts. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { guestOf } from '../support/guest.js'
import { FakeJournal } from '../support/journal.js'
import { matches } from '../support/matches.js'
import { FILE_LIMIT_MS, until } from '../support/poll.js'
import { needsRoot } from '../support/proc.js'
import { realDrivers, startOf } from '../support/real.js'

t.setTimeout(FILE_LIMIT_MS)

const sleeping = { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
const shell = (script: string) => ['/bin/sh', '-c', script]
const lostNotice = /^contextd: (\d+) bytes of this log were lost: Resource temporarily unavailable$/

/** What a writer of the numbers up to `last`, then of `end` without end, has in the journal: in order, the rest counted. */
function accountsFor(t: Test, messages: string[], last: number, end: string): void {
  const before = messages.slice(0, messages.indexOf(end))
  const came = before.filter((message) => !lostNotice.test(message)).map(Number)
  const lost = before.reduce((sum, message) => sum + Number(lostNotice.exec(message)?.[1] ?? 0), 0)
  t.ok(
    came.every((number, index) => number > (came[index - 1] ?? 0)),
    'in order'
  )
  const size = (numbers: number[]) => numbers.reduce((sum, number) => sum + String(number).length + 1, 0)
  // Lines of the end may be among the lost ones.
  const more = lost + size(came) - size(Array.from({ length: last }, (_, index) => index + 1))
  t.ok(more >= 0 && more % (end.length + 1) === 0, `${came.length} lines, ${lost} bytes lost`)
}

for (const driver of realDrivers) {
  const started = async (t: Test, isThere = true) => {
    const directory = mkdtempSync(join(tmpdir(), 'contextd-journal-'))
    const journal = new FakeJournal(join(directory, 'socket'))
    if (isThere) await journal.start()
    const args = ['--guest-log', 'journal', '--journal-socket', journal.socket]
    const daemon = await TestDaemon.start(driver, { args, ...startOf(driver) })
    t.teardown(async () => {
      await daemon.cleanUp()
      await journal.stop()
      rmSync(directory, { recursive: true })
    })
    return { daemon, journal }
  }

  void t.test(`${driver}: each line is a message that says whose it is`, needsRoot(), async (t) => {
    const { daemon, journal } = await started(t)
    const script = 'echo one; echo two >&2; printf "PRIORITY=0\\0\\377\\n"; echo; printf last'
    const guest = await guestOf(t, daemon, { ...sleeping, init: { argv: shell(`${script}; exec sleep 1000`) } })
    await journal.has('last')
    const ofGuest = { SYSLOG_IDENTIFIER: 'contextd-guest', CONTEXTD_XID: String(guest.xid) }
    const stdout = { ...ofGuest, PRIORITY: '6', CONTEXTD_STREAM: 'stdout', CONTEXTD_TAG: 'F' }
    const wanted = [
      { ...ofGuest, PRIORITY: '3', CONTEXTD_STREAM: 'stderr', CONTEXTD_TAG: 'F', MESSAGE: 'two' },
      { ...stdout, MESSAGE: 'one' },
      { ...stdout, MESSAGE: 'PRIORITY=0\0\xff' },
      { ...stdout, MESSAGE: '' },
      { ...stdout, CONTEXTD_TAG: 'P', MESSAGE: 'last' }
    ]
    const byStream = journal.entries.sort((a, b) => String(a.PRIORITY).localeCompare(String(b.PRIORITY)))
    const [{ CONTEXTD_OWNER = '' } = {}] = byStream
    t.same(
      byStream,
      wanted.map((entry) => ({ ...entry, CONTEXTD_OWNER }))
    )
    t.match(CONTEXTD_OWNER, /^[0-9a-f-]{36} \d+$/)

    const refused = await daemon.get(`${guest.path}/log`)
    t.match(refused, { status: 501, body: { type: 'log-in-journal', xid: guest.xid } })
    t.ok(refused.text.includes(`CONTEXTD_XID=${guest.xid} \\"CONTEXTD_OWNER=${CONTEXTD_OWNER}\\"`), refused.text)

    await guest.start(['perl', '-e', 'print "x" x 40000, "\\n"'])
    await until('a long line has come', () => journal.messages().includes('x'.repeat(40_000 - 2 * 16_384)))
    matches(
      t,
      journal.entries.slice(-3).map(({ CONTEXTD_TAG, MESSAGE }) => `${CONTEXTD_TAG} ${MESSAGE?.length}`),
      ['P 16384', 'P 16384', `F ${40_000 - 2 * 16_384}`]
    )
    // ls has one of its own.
    t.equal((await guest.shell('ls /proc/self/fd')).stdout, '0\n1\n2\n3\n', 'no process has more than its own output')
    const pid = await guest.start(['/bin/sleep', '1000'])
    await until(
      'the loader is done, and there are three',
      async () => (await guest.descriptors(pid)).join(' ') === '0 1 2'
    )
    t.notOk(readdirSync(daemon.directory).includes('log'), 'nor is there a file')
  })

  void t.test(`${driver}: of more than a socket holds, what does not come is counted`, needsRoot(), async (t) => {
    const { daemon, journal } = await started(t)
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(shell('seq 1 5000; while :; do echo over; sleep 0.1; done'))
    await journal.has('over')
    accountsFor(t, journal.messages(), 5000, 'over')
  })

  void t.test(`${driver}: a journal that takes nothing loses lines, and holds up nobody`, needsRoot(), async (t) => {
    const { daemon, journal } = await started(t)
    const guest = await guestOf(t, daemon, sleeping)
    journal.signal('SIGSTOP')
    // One writer, which cannot go on unless its output is read.
    const pid = await guest.start(shell('seq 1 20000; touch /tmp/written; while :; do echo after; sleep 0.1; done'))
    await until('it has written all', async () => (await guest.shell('test -e /tmp/written')).exit_code === 0)
    t.equal((await daemon.get('/health')).status, 200)
    journal.signal('SIGCONT')
    await journal.has('after')
    const messages = journal.messages()
    t.ok(messages.length < 20_000, `${messages.length} messages`)
    accountsFor(t, messages, 20_000, 'after')
    t.ok(await guest.has(pid))
  })

  void t.test(`${driver}: a journal may come late, and be another one`, needsRoot(), async (t) => {
    const { daemon, journal } = await started(t, false)
    const guest = await guestOf(t, daemon, sleeping)
    await guest.shell('mkfifo /tmp/in')
    const pid = await guest.start(shell('exec 3<>/tmp/in; while read -r line; do echo "$line"; done <&3'))
    const say = (line: string) => guest.shell(`echo ${line} >/tmp/in`)
    await say('nobody hears this')
    for (const name of ['first', 'second']) {
      await journal.start()
      await until(`the ${name} journal is written to`, async () => {
        await say(name)
        return journal.messages().includes(name)
      })
      await journal.stop()
    }
    t.ok(await guest.has(pid), 'the writer has never ended')
  })
}

void t.test('a launcher needs no daemon to write to the journal', needsRoot(), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'contextd-journal-'))
  const journal = new FakeJournal(join(directory, 'socket'))
  await journal.start()
  const daemon = await TestDaemon.start('namespaces', {
    args: ['--guest-log', 'journal', '--journal-socket', journal.socket]
  })
  t.teardown(async () => {
    await daemon.cleanUp()
    await journal.stop()
    rmSync(directory, { recursive: true })
  })
  const script = 'while [ ! -e /tmp/go ]; do sleep 0.05; done; echo gone on; exec sleep 1000'
  const guest = await guestOf(t, daemon, { ...sleeping, init: { argv: shell(script) } })
  await guest.shell('(sleep 0.5; touch /tmp/go) >/dev/null 2>&1 &')
  await daemon.stop('SIGKILL')
  await journal.has('gone on')
  await daemon.boot()
})

void t.test('a daemon on a host without a journal says so', async (t) => {
  const { code, stderr } = await contextd(['serve', '--guest-log', 'journal', '--journal-socket', '/nowhere/socket'])
  t.equal(code, 1)
  t.match(stderr, /\/nowhere: no journal is there/)
})

/** What guests write without being captured: in the log of their context, and read from there. */
import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { TestDaemon } from '../support/daemon.js'
import { expect, guestOf } from '../support/guest.js'
import { Follower, hasLine, logOf, parse, stored, textOf } from '../support/log.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { statusField } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'

const sleeping = { flags: ['PERSISTENT'], init: { argv: ['/bin/sleep', '1000'] } }
const shell = (script: string) => ({ argv: ['/bin/sh', '-c', script] })

/** Launchers that work for a context of this daemon, as they hold its directory of logs. */
function writers(daemon: TestDaemon): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== daemon.pid && statusField(pid, 'Name') === 'contextd-shim')
    .filter((pid) => {
      try {
        return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === daemon.logDir)
      } catch {
        return false // it has ended meanwhile
      }
    })
}

onRealDrivers((test, daemon, driver) => {
  test('lines of an init and of later processes stand in order, with time and stream', async (t) => {
    const before = new Date().toISOString()
    const guest = await guestOf(t, daemon, { init: shell('echo one; echo two >&2; exec sleep 1000') })
    await hasLine(guest, 'two')
    await guest.start(['/bin/sh', '-c', 'echo three; echo four >&2'])
    await hasLine(guest, 'four')
    const lines = await logOf(guest)
    t.same(
      lines.map(({ stream, tag, text }) => `${stream} ${tag} ${text}`).sort(),
      ['stderr F four', 'stderr F two', 'stdout F one', 'stdout F three'],
      'all of it'
    )
    const ofOne = (stream: string) => lines.filter((line) => line.stream === stream).map(({ text }) => text)
    t.same(
      [ofOne('stdout'), ofOne('stderr')],
      [
        ['one', 'three'],
        ['two', 'four']
      ],
      'in order'
    )
    for (const { time } of lines) t.ok(time > before && Date.parse(time) <= Date.now(), time)
    t.equal(statSync(join(daemon.logDir, `${guest.xid}.log`)).mode & 0o7777, 0o640)
    t.equal(statSync(daemon.logDir).mode & 0o7777, 0o750)
    t.equal(stored(daemon.logDir, guest.xid), (await daemon.get(`${guest.path}/log`)).text, 'and the file has the same')
  })

  test('the log of a context that has ended is whole when its end is told of, and can be read on', async (t) => {
    const { text } = await daemon.post('/contexts?wait', { xid: 4000, init: shell('seq 1 3000; printf end >&2') })
    t.match(text, '"exit_code":0')
    // A Linux-VServer kernel tells of the end, not the launcher that writes.
    if (driver === 'vserver')
      await until(
        'the last line',
        async () => (await daemon.get('/contexts/4000/log')).text.endsWith(' end\n') || undefined
      )
    const reply = await daemon.get('/contexts/4000/log')
    const lines = parse(reply.text)
    const stdout = lines.filter(({ stream }) => stream === 'stdout').map((line) => line.text)
    t.same(
      stdout,
      Array.from({ length: 3000 }, (_, index) => String(index + 1))
    )
    matches(
      t,
      lines.filter(({ stream }) => stream === 'stderr'),
      [{ tag: 'F', text: 'end' }],
      'a last line without an end'
    )
    t.match(await daemon.get('/contexts/4001/log'), { status: 404, body: { errno: 'ESRCH' } })
  })

  test('a context never shows the log of the one that had its xid before', async (t) => {
    const xid = 4002
    expect(200, await daemon.post('/contexts?wait', { xid, init: shell('echo secret') }))
    t.match((await daemon.get(`/contexts/${xid}/log`)).text, 'secret')
    const guest = await guestOf(t, daemon, { xid })
    t.same(await logOf(guest), [])
    t.equal(stored(daemon.logDir, xid), '', 'and nothing of it is kept')
    await guest.start(['/bin/echo', 'mine'])
    await hasLine(guest, 'mine')
    matches(t, await logOf(guest), [{ text: 'mine' }])
  })

  test('tail, stream and since choose lines', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(['/bin/sh', '-c', 'seq 1 40000; echo error >&2'])
    await hasLine(guest, 'error')
    await hasLine(guest, '40000')
    await guest.start(['/bin/sh', '-c', 'echo last'])
    await hasLine(guest, 'last')
    const texts = async (query: string) => (await logOf(guest, query)).map(({ text }) => text)
    t.same(await texts('?stream=stdout&tail=3'), ['39999', '40000', 'last'])
    t.same(await texts('?stream=stderr'), ['error'])
    t.same(await texts('?tail=0'), [])
    t.equal((await texts('?stream=stdout&tail=30000')).length, 30_000)
    t.equal((await texts('?tail=1000000')).length, 40_002)
    const [{ time } = { time: '' }] = await logOf(guest, '?tail=1')
    t.same(await texts(`?since=${time.slice(0, 23)}Z`), ['last'])
    for (const bad of ['tail=-1', 'tail=x', 'stream=stdin', 'since=yesterday', 'folow=true'])
      t.equal((await daemon.get(`${guest.path}/log?${bad}`)).status, 400, bad)
  })

  test('a follower sees each line as it comes, and is let go when the context is gone', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(['/bin/echo', 'before'])
    await hasLine(guest, 'before')
    const all = new Follower(guest)
    const fresh = new Follower(guest, '&tail=0&stream=stderr')
    t.same(await Promise.all([all.connected, fresh.connected]), [200, 200])
    await all.sees('before')
    await guest.start(['/bin/sh', '-c', 'echo during; echo error >&2'])
    await all.sees('during')
    await fresh.sees('error')
    await daemon.delete(`${guest.path}?grace=0`)
    await Promise.all([all.ends(), fresh.ends()])
    t.same(
      fresh.lines.map(({ text }) => text),
      ['error']
    )
    t.same(all.lines.map(({ text }) => text).sort(), ['before', 'during', 'error'])
  })

  test('a part of a line ends between two characters of UTF-8', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    for (const [index, character] of ['é', '€', '😀'].entries())
      for (let shift = 0; shift < Buffer.byteLength(character); shift++) {
        const name = `end ${index} ${shift}`
        const text = 'x'.repeat(shift) + character.repeat(12_000)
        const script = `printf '%s\\n%s\\n' '${text}' '${name}'`
        await guest.start(['/bin/sh', '-c', script])
        await hasLine(guest, name)
      }
    const bytes = (await daemon.get(`${guest.path}/log`)).text
    t.notMatch(bytes, /\ufffd/)
    const lines = await logOf(guest)
    t.ok(lines.filter(({ tag }) => tag === 'P').length >= 9)
    t.notMatch(textOf(lines), /[^x\né€😀end 0-9]/)
  })

  test('a log is the bytes of its guest, so no encoding is promised', async (t) => {
    const guest = await guestOf(t, daemon, { init: shell("printf '\\351t\\351\\n'; echo end; exec sleep 1000") })
    await hasLine(guest, 'end')
    for (const query of ['', '?tail=2']) {
      const { headers } = await daemon.get(`${guest.path}/log${query}`)
      matches(t, headers, { 'content-type': 'text/plain', 'x-content-type-options': 'nosniff' })
    }
  })

  test('half a character at a prompt comes with its other half', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    // The second half comes when the first part is written down.
    await guest.start(['/bin/sh', '-c', "printf 'na\\303'; sleep 0.7; printf '\\257f\\n'; exec sleep 1000"])
    await hasLine(guest, '\u00eff')
    t.same(
      (await logOf(guest)).map(({ tag, text }) => [tag, text]),
      [
        ['P', 'na'],
        ['F', '\u00eff']
      ]
    )
  })

  test('a silent context is followed from before its first line', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const follower = new Follower(guest)
    t.equal(await follower.connected, 200)
    await guest.start(['/bin/echo', 'first'])
    await follower.sees('first')
    follower.hangUp()
  })

  test('a client that hangs up leaves nothing open', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(['/bin/echo', 'line'])
    await hasLine(guest, 'line')
    const logsOpen = () =>
      readdirSync(`/proc/${daemon.pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${daemon.pid}/fd/${fd}`).includes(`/${guest.xid}.log`)
        } catch {
          return false // closed meanwhile
        }
      }).length
    const followers = Array.from({ length: 20 }, () => new Follower(guest))
    for (const follower of followers) await follower.sees('line')
    t.equal(logsOpen(), 20)
    for (const follower of followers) follower.hangUp()
    await until('all of them are closed', () => logsOpen() === 0)
  })

  test('a prompt without the end of its line is written down as a part', async (t) => {
    const guest = await guestOf(t, daemon, { init: shell('printf "login: "; sleep 1000') })
    const lines = await until('the prompt', async () => {
      const seen = await logOf(guest)
      return seen.length > 0 ? seen : undefined
    })
    matches(t, lines, [{ tag: 'P', text: 'login: ' }])
  })

  test('a process that ends leaves those it has left behind a log to write to', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const pid = await guest.start(
      // It waits for the end of its parent, then writes.
      shell('(while kill -0 $$ 2>/dev/null; do sleep 0.05; done; echo still here; exec sleep 1000) & exit 0').argv
    )
    await hasLine(guest, 'still here')
    t.notOk((await guest.processes()).some((process) => process.pid === pid))
    t.equal(writers(daemon).length > 0, true, 'a launcher reads on for it')
  })

  test('what a process writes has no way to what is written', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const script = [
      'echo kept',
      ': >/proc/self/fd/1', // truncates a file
      'echo >/dev/stdout again',
      'chmod 777 /proc/self/fd/1 /dev/stdout',
      'readlink /proc/self/fd/1 /proc/self/fd/2'
    ].join('; ')
    await guest.start(shell(script).argv)
    const lines = await until('three links', async () => {
      const seen = (await logOf(guest)).filter(({ stream }) => stream === 'stdout').map(({ text }) => text)
      return seen.length >= 4 ? seen : undefined
    })
    matches(t, lines, ['kept', 'again', /^pipe:/, /^pipe:/])
    t.equal(statSync(join(daemon.logDir, `${guest.xid}.log`)).mode & 0o7777, 0o640)
  })

  test('a user other than root can open its standard output anew', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(shell('echo opened >/dev/stdout').argv, { user: { uid: 1234, gid: 1234 } })
    await hasLine(guest, 'opened')
  })

  test('binary output, empty lines and endless ones stay lines of the log', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    await guest.start(
      shell('printf "\\n\\nx\\000y\\377z\\r\\n"; head -c 100000 /dev/zero | tr "\\0" a; echo; echo end').argv
    )
    await hasLine(guest, 'end')
    const reply = await daemon.get(`${guest.path}/log`)
    const lines = parse(reply.text)
    t.same(
      lines.slice(0, 3).map(({ text }) => text),
      ['', '', 'x\0y\ufffdz\r']
    )
    const parts = lines.slice(3, -1)
    t.ok(
      parts.every(({ text }) => text.length <= 16_384),
      'split at 16 KiB'
    )
    t.same(
      parts.map(({ tag }) => tag),
      [...Array.from({ length: parts.length - 1 }, () => 'P'), 'F']
    )
    t.equal(textOf(parts), `${'a'.repeat(100_000)}\n`)
  })

  test('an init that is started in place of the reaper writes to the log', async (t) => {
    const guest = await guestOf(t, daemon)
    await guest.start(['/bin/sleep', '1000'])
    await guest.start(shell('echo I am init; exec sleep 1000').argv, { flags: ['SET_INIT'] })
    await hasLine(guest, 'I am init')
  })
})

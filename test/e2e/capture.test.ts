/** Captured processes: output, input, limits and time. */
import { guestOf, shortLife } from '../support/guest.js'
import { connect } from 'node:net'
import { TestDaemon } from '../support/daemon.js'
import { hasLine, logOf } from '../support/log.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'
import { isIdle } from '../support/proc.js'
import { onRealDrivers } from '../support/real.js'

const MIB = 1 << 20
const sleeping = { init: { argv: ['/bin/sleep', '1000'] } }

onRealDrivers((test, daemon, driver) => {
  test('output, error output and exit code come back apart', async (t) => {
    const guest = await guestOf(t, daemon)
    matches(t, await guest.shell('echo out; echo err >&2; exit 3'), {
      stdout: 'out\n',
      stderr: 'err\n',
      exit_code: 3,
      term_signal: null,
      truncated: false,
      timed_out: false
    })
  })

  test('the signal that ended a captured process is named', async (t) => {
    const guest = await guestOf(t, daemon)
    matches(t, await guest.shell('kill -SEGV $$'), { exit_code: null, term_signal: 'SIGSEGV' })
  })

  test('five megabytes are cut to one, of each stream, and the process ends by itself', async (t) => {
    const guest = await guestOf(t, daemon)
    const result = await guest.shell(
      'head -c 5000000 /dev/zero | tr "\\0" x; head -c 5000000 /dev/zero | tr "\\0" y >&2'
    )
    t.match(result, { exit_code: 0, truncated: true, timed_out: false })
    t.equal(result.stdout.length, MIB)
    t.equal(result.stderr.length, MIB)
    t.match(result.stdout.slice(-3) + result.stderr.slice(-3), 'xxxyyy')
  })

  test('a mebibyte of bytes that take more as text arrives whole', async (t) => {
    const guest = await guestOf(t, daemon)
    const script = `head -c ${MIB} /dev/zero; head -c ${MIB} /dev/zero | tr "\\0" "\\377" >&2`
    const { stdout, stderr, truncated, exit_code } = await guest.shell(script)
    t.strictSame([truncated, exit_code], [false, 0])
    t.ok(stdout === '\0'.repeat(MIB), 'NUL')
    t.ok(stderr === '\ufffd'.repeat(MIB), '0xff')
  })

  test('with room for one output at a time all are answered, though a client reads nothing', async (t) => {
    const narrow = await TestDaemon.start(driver, {
      args: ['--capture-memory', '1M', '--send-timeout', '2'],
      ...(driver === 'vserver' && { emulator: [] })
    })
    t.teardown(() => narrow.cleanUp())
    const guest = await guestOf(t, narrow, sleeping)
    const body = JSON.stringify({ argv: ['/bin/sh', '-c', `head -c ${MIB} /dev/zero`], capture: true })
    const mute = connect(narrow.socket)
    t.teardown(() => mute.destroy())
    mute.pause()
    mute.write(
      `POST ${guest.path}/processes HTTP/1.1\r\nhost: d\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    )
    const outputs = await Promise.all(
      Array.from({ length: 8 }, async () => (await guest.shell(`head -c ${MIB} /dev/zero`)).stdout.length)
    )
    t.strictSame(
      outputs,
      Array.from({ length: 8 }, () => MIB)
    )
  })

  test('exactly one megabyte is not truncated', async (t) => {
    const guest = await guestOf(t, daemon)
    const result = await guest.shell(`head -c ${MIB} /dev/zero | tr "\\0" x`)
    t.equal(result.stdout.length, MIB)
    t.equal(result.truncated, false)
  })

  test('text in UTF-8 arrives as it was, and bytes that are none become U+FFFD', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const text = 'žluťoučký kůň €'
    t.equal((await guest.capture(['/bin/echo', text])).stdout, `${text}\n`)
    t.equal((await guest.shell('printf "a\\377b"')).stdout, 'a\ufffdb')
  })

  test('what a captured process leaves behind goes on, and writes to the log', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    // Each write of a shell that would die of SIGPIPE, or fail, ends what comes after it.
    const behind = 'read go </tmp/go && echo later && echo worse >&2 && echo last && exec sleep 1000'
    t.match(await guest.shell(`mkfifo /tmp/go; { ${behind}; } & echo done; echo err >&2`), {
      stdout: 'done\n',
      stderr: 'err\n',
      exit_code: 0
    })
    t.match(await guest.shell('echo go >/tmp/go'), { exit_code: 0 })
    await hasLine(guest, 'last')
    const lines = (await logOf(guest)).map(({ stream, text }) => `${stream} ${text}`)
    t.same(lines.toSorted(), ['stderr worse', 'stdout last', 'stdout later'])
    await until('it sleeps', async () => (await guest.processes()).filter(({ comm }) => comm === 'sleep').length === 2)
  })

  test('where nothing is logged what is left behind goes on as well', async (t) => {
    const silent = await TestDaemon.start(driver, {
      args: ['--guest-log', 'none'],
      ...(driver === 'vserver' && { emulator: [] })
    })
    t.teardown(() => silent.cleanUp())
    const guest = await guestOf(t, silent, sleeping)
    const behind = 'read go </tmp/go && head -c 1000000 /dev/zero && echo >/tmp/went'
    t.match(await guest.shell(`mkfifo /tmp/go; { ${behind}; } & echo done`), { stdout: 'done\n' })
    t.match(await guest.shell('echo go >/tmp/go'), { exit_code: 0 })
    await until('all is written', async () => (await guest.shell('cat /tmp/went')).exit_code === 0)
  })

  test('a background child that keeps the output open is not waited for', async (t) => {
    const guest = await guestOf(t, daemon)
    t.match(await guest.shell('sleep 1000 & echo done'), { stdout: 'done\n', exit_code: 0 })
    await until('it sleeps', async () => (await guest.processes()).every(({ comm }) => comm === 'sleep'))
    t.equal((await guest.processes()).length, 1)
  })

  test('a background child that goes on writing is not waited for', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    t.match(await guest.shell('yes & echo done'), { exit_code: 0 })
    await guest.kill('SIGKILL')
  })

  test('sixty kilobytes go in and come out', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const stdin = 'a line of input\n'.repeat(60_000 / 16)
    t.equal((await guest.capture(['/bin/cat'], { stdin })).stdout, stdin)
    t.equal((await guest.capture(['/usr/bin/wc', '-c'], { stdin })).stdout.trim(), String(stdin.length))
  })

  test('input that is not read, or not all, is no error', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const stdin = 'x'.repeat(60_000)
    t.match(await guest.capture(['/bin/true'], { stdin }), { exit_code: 0 })
    t.match(await guest.capture(['/usr/bin/head', '-c', '5'], { stdin }), { exit_code: 0, stdout: 'xxxxx' })
    t.match(await guest.shell('exec <&-; sleep 0.05', { stdin }), { exit_code: 0 })
  })

  test('without input a process finds the end of the file at once', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    t.match(await guest.capture(['/bin/cat']), { stdout: '', exit_code: 0 })
    t.match(await guest.capture(['/bin/cat'], { stdin: '' }), { stdout: '', exit_code: 0 })
    t.match(await daemon.post(`${guest.path}/processes`, { argv: ['/bin/cat'], stdin: 'lost' }), { status: 400 })
  })

  test('the timeout kills the process and its group, and what it wrote so far comes back', async (t) => {
    const guest = await guestOf(t, daemon)
    const result = await guest.shell('echo begun; sleep 1000 & sleep 1001', shortLife)
    matches(t, result, { stdout: 'begun\n', timed_out: true, term_signal: 'SIGKILL', exit_code: null })
    await guest.isEmpty()
  })

  test('the timeout also ends a process that is not captured', async (t) => {
    const guest = await guestOf(t, daemon)
    await guest.start(['/bin/sleep', '1000'], shortLife)
    await guest.isEmpty()
  })

  // clone(2) with CLONE_PARENT makes the new process one of the launcher's.
  const givesAwayChild =
    '$| = 1; my $p = syscall(56, 0x8000 | 17, 0, 0, 0, 0) or exit; print "done\n" if $p > 0; sleep 1000'
  // PTRACE_SEIZE: its tracer never asks how it has ended, and is in a session of its own.
  const isTraced =
    'use POSIX; $| = 1; my $p = $$; if (!fork) { setsid; syscall(101, 0x4206, $p, 0, 0) or print "done\n"; sleep 60; exit } sleep 1000'
  for (const [what, script] of [
    ['gives its child to the launcher', givesAwayChild],
    ['has itself traced by one that never waits', isTraced]
  ] as const) {
    test(`the timeout ends a process that ${what}`, async (t) => {
      const guest = await guestOf(t, daemon, sleeping)
      const result = await guest.capture(['perl', '-e', script], shortLife)
      t.match(result, { stdout: 'done\n', timed_out: true, term_signal: 'SIGKILL' })
    })
  }

  test('a timeout that is not reached changes nothing', async (t) => {
    const guest = await guestOf(t, daemon)
    t.match(await guest.shell('echo in time', { timeout: 30 }), { stdout: 'in time\n', timed_out: false, exit_code: 0 })
  })

  test('a captured process that is killed with its context is reported, not left hanging', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const result = guest.shell('sleep 1000')
    await until('it runs', async () => (await guest.processes()).length === 3)
    t.equal((await guest.kill('SIGKILL')).status, 204)
    t.match(await result, { term_signal: 'SIGKILL' })
  })

  test('captures of many clients at once do not mix', async (t) => {
    const guest = await guestOf(t, daemon, sleeping)
    const numbers = Array.from({ length: 40 }, (_, index) => index)
    const results = await Promise.all(numbers.map((n) => guest.shell(`cat; echo ${n} >&2`, { stdin: `in ${n}` })))
    results.forEach(({ stdout, stderr }, n) => {
      t.same([stdout, stderr], [`in ${n}`, `${n}\n`])
    })
  })

  test('no launcher outlives its process', async () => {
    await until('no child of the daemon is left', () => isIdle(daemon.pid))
  })
})

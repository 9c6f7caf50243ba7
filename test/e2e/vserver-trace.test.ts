/** What each request costs the kernel: the whole list of vserver(2) commands that it makes, reads too. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { machine, release, tmpdir, version } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Context } from '../../daemon/schemas/context.js'
import { needsEmulator } from '../support/emulator.js'
import { TestDaemon, type Reply } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { until } from '../support/poll.js'

const sleep = ['/bin/sleep', '1000']

let daemon: TestDaemon
let file: string
t.before(async () => {
  if (needsEmulator().skip) return
  const directory = mkdtempSync(join(tmpdir(), 'contextd-trace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  file = join(directory, 'trace')
  daemon = await TestDaemon.start('vserver', { emulator: [`--trace=${file}`] })
})
t.teardown(() => (daemon as TestDaemon | undefined)?.cleanUp())

const raw = () => readFileSync(file, 'utf8').split('\n').slice(0, -1)

/** Whoever connects is asked for once: requests from inside a context are not answered. */
const asksForUs = `0 task_xid(${process.pid}) = 0`

/** What is another one each time. */
const varying: [RegExp | string, string][] = [
  [/initpid=[1-9]\d*/, 'initpid=PID'],
  [/task_xid\([1-9]\d*\)/, 'task_xid(PID)'],
  [/\{pid=([2-9]|\d\d+),/, '{pid=PID,'],
  [/virt_stat\((\d+), \{.*\}/, 'virt_stat($1, {...}'],
  [`"${release()}"`, '"RELEASE"'],
  [`"${version()}"`, '"VERSION"'],
  [`"${machine()}"`, '"MACHINE"']
]

const normal = (line: string) => varying.reduce((text, [what, name]) => text.replace(what, name), line)
const ofWaits = (line: string) => line.includes('wait_exit(')
/** A spectator asks for the context of every process of the host. */
const ofSpectator = (line: string) => line.startsWith('1 task_xid(')

let seen = 0

/**
 * The lines since the last look: the caller's xid, the command with its id and data, the result. A wait is written when
 * it ends, by a thread of its own: it comes last here. What a spectator asks becomes one line.
 */
function newCalls(): string[] {
  const lines = raw().slice(seen)
  seen += lines.length
  const calls = lines.filter((line) => line !== asksForUs)
  const inOrder = [...calls.filter((line) => !ofWaits(line)), ...calls.filter(ofWaits)]
  return inOrder
    .filter((line, at) => !ofSpectator(line) || !ofSpectator(inOrder[at - 1] ?? ''))
    .map((line) => (ofSpectator(line) ? '1 task_xid(of each process)' : normal(line)))
}

/** What a request called, which is all in the file when its answer is there. */
async function callsOf(status: number, request: () => Promise<Reply>): Promise<string[]> {
  newCalls()
  expect(status, await request())
  return newCalls()
}

/** What an answer with all of context 100 reads. */
const all = (xid: number, flags: string, stat: string, [context, nodename, release]: string[], bcaps: string) => [
  `0 get_cflags(${xid}, {flagword=${flags}, mask=0xfffffffcffffffff}) = 0`,
  `0 ctx_stat(${xid}, {${stat}}) = 0`,
  `0 virt_stat(${xid}, {...}) = 0`,
  `0 get_vhi_name(${xid}, {field=0, name="${context}"}) = 0`,
  `0 get_vhi_name(${xid}, {field=1, name="Linux"}) = 0`,
  `0 get_vhi_name(${xid}, {field=2, name="${nodename}"}) = 0`,
  `0 get_vhi_name(${xid}, {field=3, name="${release}"}) = 0`,
  `0 get_vhi_name(${xid}, {field=4, name="VERSION"}) = 0`,
  `0 get_vhi_name(${xid}, {field=5, name="MACHINE"}) = 0`,
  `0 get_vhi_name(${xid}, {field=6, name="(none)"}) = 0`,
  `0 vx_info(${xid}, {xid=${xid}, initpid=PID}) = 0`,
  `0 get_bcaps(${xid}, {bcaps=${bcaps}, bmask=0xffffffffffffffff}) = 0`,
  `0 get_ccaps(${xid}, {ccaps=0x0000000000000001, cmask=0xffffffffffffffff}) = 0`
]

void t.test('the start of the daemon asks four questions', needsEmulator(), (t) => {
  t.same(newCalls(), [
    '0 get_version(0) = 131848',
    '0 get_vci(0) = 268443393',
    '0 get_space_mask(0, {mask=0x000000007c020200}) = 0',
    '0 task_xid(0) = 0'
  ])
  t.end()
})

void t.test('a connection asks once whether its client is in a context', needsEmulator(), async (t) => {
  const asked = () => raw().filter((line) => line === asksForUs).length
  await daemon.get('/health')
  const before = asked()
  await daemon.get('/health')
  t.equal(asked(), before, 'a connection that is kept asks no more')
  await daemon.get('/health', { headers: { connection: 'close' } })
  await daemon.get('/health')
  t.equal(asked(), before + 1, 'the next one does')
})

void t.test('create with an init, a name, words and flags', needsEmulator(), async (t) => {
  const calls = await callsOf(201, () =>
    daemon.post('/contexts', {
      xid: 100,
      name: 'web',
      uname: { nodename: 'web1' },
      flags: ['PERSISTENT', 'VIRT_UPTIME'],
      bcaps: ['CHOWN', 'KILL', 'NET_BIND_SERVICE'],
      ccaps: ['SET_UTSNAME'],
      init: { argv: sleep }
    })
  )
  t.same(calls, [
    '0 vx_info(100) = -1 ESRCH',
    '0 vx_info(100) = -1 ESRCH',
    '0 ctx_create(100, {flagword=0x0000004700020000}) = 100',
    '100 set_space(100, {mask=0x000000000c020200}) = 0',
    '0 set_bcaps(100, {bcaps=0x0000000000000421, bmask=0xffffffffffffffff}) = 0',
    '0 set_ccaps(100, {ccaps=0x0000000000000001, cmask=0xffffffffffffffff}) = 0',
    '0 set_vhi_name(100, {field=0, name="web"}) = 0',
    '0 set_vhi_name(100, {field=2, name="web1"}) = 0',
    '0 get_cflags(100, {flagword=0x0000004700020000, mask=0xffffffffffffffff}) = 0',
    '0 enter_space(100, {mask=0x000000000c020200}) = 0',
    '0 get_bcaps(100, {bcaps=0x0000000000000421, bmask=0xffffffffffffffff}) = 0',
    '0 ctx_migrate(100, {flagword=0x0000000000000003}) = 0',
    '100 set_cflags(100, {flagword=0x0000000000000000, mask=0x0000000300000000}) = 0',
    ...all(100, '0x0000004400020000', 'usecnt=4, tasks=2', ['web', 'web1', 'RELEASE'], '0x0000000000000421'),
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 virt_stat(100, {...}) = 0'
  ])
})

void t.test('all of a context, alone and in the list', needsEmulator(), async (t) => {
  const expected = all(100, '0x0000004400020000', 'usecnt=4, tasks=2', ['web', 'web1', 'RELEASE'], '0x0000000000000421')
  t.same(await callsOf(200, () => daemon.get('/contexts/100')), expected)
  t.same(
    await callsOf(200, () => daemon.get('/contexts')),
    ['0 vx_info(100, {xid=100, initpid=PID}) = 0', ...expected],
    'the list asks whether each context that was known is there'
  )
  t.same(await callsOf(200, () => daemon.get('/contexts?name=mail')), [
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 get_vhi_name(100, {field=0, name="web"}) = 0'
  ])
})

void t.test('a part of a context is one command', needsEmulator(), async (t) => {
  const { initpid } = expect<Context>(200, await daemon.get('/contexts/100'))
  const parts: [path: string, call: string][] = [
    ['/contexts/100/flags', '0 get_cflags(100, {flagword=0x0000004400020000, mask=0xfffffffcffffffff}) = 0'],
    ['/contexts/100/bcaps', '0 get_bcaps(100, {bcaps=0x0000000000000421, bmask=0xffffffffffffffff}) = 0'],
    ['/contexts/100/ccaps', '0 get_ccaps(100, {ccaps=0x0000000000000001, cmask=0xffffffffffffffff}) = 0'],
    ['/contexts/100/info', '0 vx_info(100, {xid=100, initpid=PID}) = 0'],
    ['/contexts/100/uname/context', '0 get_vhi_name(100, {field=0, name="web"}) = 0'],
    ['/contexts/100/uname/sysname', '0 get_vhi_name(100, {field=1, name="Linux"}) = 0'],
    ['/contexts/100/uname/nodename', '0 get_vhi_name(100, {field=2, name="web1"}) = 0'],
    ['/contexts/100/uname/release', '0 get_vhi_name(100, {field=3, name="RELEASE"}) = 0'],
    ['/contexts/100/uname/version', '0 get_vhi_name(100, {field=4, name="VERSION"}) = 0'],
    ['/contexts/100/uname/machine', '0 get_vhi_name(100, {field=5, name="MACHINE"}) = 0'],
    ['/contexts/100/uname/domainname', '0 get_vhi_name(100, {field=6, name="(none)"}) = 0'],
    [`/tasks/${initpid}`, '0 task_xid(PID) = 100']
  ]
  for (const [path, call] of parts) t.same(await callsOf(200, () => daemon.get(path)), [call], path)
  t.same(
    await callsOf(200, () => daemon.get('/contexts/100/stat')),
    ['0 ctx_stat(100, {usecnt=4, tasks=2}) = 0', '0 virt_stat(100, {...}) = 0'],
    'but the statistics are two'
  )
})

void t.test('what is not about a context is no command', needsEmulator(), async (t) => {
  for (const path of ['/health', '/version', '/vocabulary', '/openapi.json'])
    t.same(await callsOf(200, () => daemon.get(path)), [], path)
})

void t.test('a process, captured or not, enters by two commands', needsEmulator(), async (t) => {
  const expected = [
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 get_cflags(100, {flagword=0x0000004400020000, mask=0xfffffffcffffffff}) = 0',
    // The age of the context says whose log it writes to, a captured one with what it leaves behind.
    '0 virt_stat(100, {...}) = 0',
    '0 enter_space(100, {mask=0x000000000c020200}) = 0',
    '0 get_bcaps(100, {bcaps=0x0000000000000421, bmask=0xffffffffffffffff}) = 0',
    '0 ctx_migrate(100, {flagword=0x0000000000000000}) = 0'
  ]
  const run = (status: number, body: object) => callsOf(status, () => daemon.post('/contexts/100/processes', body))
  t.same(await run(200, { argv: ['/bin/echo', 'out'], capture: true }), expected)
  t.same(await run(200, { argv: ['/bin/cat'], capture: true, stdin: 'in' }), expected)
  t.same(await run(201, { argv: ['/bin/true'] }), expected)
})

void t.test('the list of processes is asked for in the spectator context', needsEmulator(), async (t) => {
  const { initpid } = expect<Context>(200, await daemon.get('/contexts/100'))
  const before = raw().length
  t.same(await callsOf(200, () => daemon.get('/contexts/100/processes')), [
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 get_cflags(100, {flagword=0x0000004400020000, mask=0xfffffffcffffffff}) = 0',
    '0 ctx_migrate(1, {flagword=0x0000000000000000}) = 1',
    '1 task_xid(of each process)'
  ])
  const asked = raw().slice(before)
  t.equal(asked.filter((line) => line === `1 task_xid(${initpid}) = 100`).length, 1)
})

void t.test('PUT and PATCH of flags write once, and only what differs', needsEmulator(), async (t) => {
  t.same(
    await callsOf(200, () => daemon.put('/contexts/100/flags', { names: ['PERSISTENT'] })),
    [
      '0 get_cflags(100, {flagword=0x0000004400020000, mask=0xfffffffcffffffff}) = 0',
      '0 get_cflags(100, {flagword=0x0000004400020000, mask=0xfffffffcffffffff}) = 0',
      '0 set_cflags(100, {flagword=0x0000004000000000, mask=0xfffffff8ffffffff}) = 0',
      '0 vx_info(100, {xid=100, initpid=PID}) = 0',
      '0 get_cflags(100, {flagword=0x0000004400000000, mask=0xfffffffcffffffff}) = 0'
    ],
    'PERSISTENT is among the bits of a whole word, so the daemon looks whether it has to wait'
  )
  const unchanged = [
    '0 get_cflags(100, {flagword=0x0000004400000000, mask=0xfffffffcffffffff}) = 0',
    '0 get_cflags(100, {flagword=0x0000004400000000, mask=0xfffffffcffffffff}) = 0'
  ]
  t.same(await callsOf(200, () => daemon.put('/contexts/100/flags', { names: ['PERSISTENT'] })), unchanged)
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/flags', { clear: ['VIRT_LOAD'] })), unchanged)
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/flags?dry_run=true', { set: ['VIRT_LOAD'] })), unchanged)
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/flags', { set: ['VIRT_LOAD'] })), [
    ...unchanged,
    '0 set_cflags(100, {flagword=0x0000000000080000, mask=0x0000000000080000}) = 0'
  ])
})

void t.test('PUT and PATCH of bcaps write once, and only what differs', needsEmulator(), async (t) => {
  t.same(await callsOf(200, () => daemon.put('/contexts/100/bcaps', { names: ['CHOWN', 'KILL'] })), [
    '0 get_bcaps(100, {bcaps=0x0000000000000421, bmask=0xffffffffffffffff}) = 0',
    '0 set_bcaps(100, {bcaps=0x0000000000000021, bmask=0xffffffffffffffff}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.put('/contexts/100/bcaps', { names: ['CHOWN', 'KILL'] })), [
    '0 get_bcaps(100, {bcaps=0x0000000000000021, bmask=0xffffffffffffffff}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/bcaps', { set: ['SETUID'], clear: ['KILL'] })), [
    '0 get_bcaps(100, {bcaps=0x0000000000000021, bmask=0xffffffffffffffff}) = 0',
    '0 set_bcaps(100, {bcaps=0x0000000000000080, bmask=0x00000000000000a0}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/bcaps', { set: ['SETUID'], clear: ['KILL'] })), [
    '0 get_bcaps(100, {bcaps=0x0000000000000081, bmask=0xffffffffffffffff}) = 0'
  ])
})

void t.test('PUT and PATCH of ccaps write once, and only what differs', needsEmulator(), async (t) => {
  t.same(await callsOf(200, () => daemon.put('/contexts/100/ccaps', { names: ['SET_UTSNAME', 'SYSLOG'] })), [
    '0 get_ccaps(100, {ccaps=0x0000000000000001, cmask=0xffffffffffffffff}) = 0',
    '0 set_ccaps(100, {ccaps=0x0000000000001001, cmask=0xffffffffffffffff}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.put('/contexts/100/ccaps', { names: ['SET_UTSNAME', 'SYSLOG'] })), [
    '0 get_ccaps(100, {ccaps=0x0000000000001001, cmask=0xffffffffffffffff}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/ccaps', { clear: ['SYSLOG'] })), [
    '0 get_ccaps(100, {ccaps=0x0000000000001001, cmask=0xffffffffffffffff}) = 0',
    '0 set_ccaps(100, {ccaps=0x0000000000000000, cmask=0x0000000000001000}) = 0'
  ])
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/ccaps', { clear: ['SYSLOG'] })), [
    '0 get_ccaps(100, {ccaps=0x0000000000000001, cmask=0xffffffffffffffff}) = 0'
  ])
})

void t.test('each field of uname is read, written if it differs, and read again', needsEmulator(), async (t) => {
  const fields: [name: string, before: string][] = [
    ['context', 'web'],
    ['sysname', 'Linux'],
    ['nodename', 'web1'],
    ['release', 'RELEASE'],
    ['version', 'VERSION'],
    ['machine', 'MACHINE'],
    ['domainname', '(none)']
  ]
  for (const [id, [name, before]] of fields.entries()) {
    const put = () => callsOf(200, () => daemon.put(`/contexts/100/uname/${name}`, { value: `new ${name}` }))
    t.same(
      await put(),
      [
        `0 get_vhi_name(100, {field=${id}, name="${before}"}) = 0`,
        `0 set_vhi_name(100, {field=${id}, name="new ${name}"}) = 0`,
        `0 get_vhi_name(100, {field=${id}, name="new ${name}"}) = 0`
      ],
      name
    )
    t.same(
      await put(),
      [
        `0 get_vhi_name(100, {field=${id}, name="new ${name}"}) = 0`,
        `0 get_vhi_name(100, {field=${id}, name="new ${name}"}) = 0`
      ],
      `${name} as it is`
    )
  }
  t.same(await callsOf(200, () => daemon.patch('/contexts/100/uname', { nodename: 'web2', machine: 'new machine' })), [
    '0 get_vhi_name(100, {field=2, name="new nodename"}) = 0',
    '0 get_vhi_name(100, {field=5, name="new machine"}) = 0',
    '0 set_vhi_name(100, {field=2, name="web2"}) = 0',
    '0 get_vhi_name(100, {field=0, name="new context"}) = 0',
    '0 get_vhi_name(100, {field=1, name="new sysname"}) = 0',
    '0 get_vhi_name(100, {field=2, name="web2"}) = 0',
    '0 get_vhi_name(100, {field=3, name="new release"}) = 0',
    '0 get_vhi_name(100, {field=4, name="new version"}) = 0',
    '0 get_vhi_name(100, {field=5, name="new machine"}) = 0',
    '0 get_vhi_name(100, {field=6, name="new domainname"}) = 0'
  ])
})

void t.test('kill is one command, whomever it is for', needsEmulator(), async (t) => {
  const kill = (status: number, pid: number, signal: string) =>
    callsOf(status, () => daemon.post('/contexts/100/kill', { pid, signal }))
  const { pid } = expect<{ pid: number }>(201, await daemon.post('/contexts/100/processes', { argv: sleep }))
  t.same(await kill(204, 0, 'SIGCONT'), ['0 ctx_kill(100, {pid=0, sig=18}) = 0'])
  t.same(await kill(204, -1, 'SIGCONT'), ['0 ctx_kill(100, {pid=-1, sig=18}) = 0'])
  t.same(await kill(204, 1, 'SIGCONT'), ['0 ctx_kill(100, {pid=1, sig=18}) = 0'])
  t.same(await kill(204, pid, 'SIGKILL'), ['0 ctx_kill(100, {pid=PID, sig=9}) = 0'])
  t.same(await kill(404, process.pid, 'SIGCONT'), ['0 ctx_kill(100, {pid=PID, sig=18}) = -1 ESRCH'])
})

void t.test('a wait is one command, which another wait shares and a hang-up ends', needsEmulator(), async (t) => {
  const ofInfo = (line: string) => line.includes('vx_info(')
  const unexpected = (reply: Reply) => {
    t.fail(reply.text)
  }
  const first = daemon.open('POST', '/contexts/100/wait', undefined, {}, unexpected, () => undefined)
  const asked = await until('it waits', () => raw().slice(seen).some(ofInfo) && newCalls())
  t.same(asked, ['0 vx_info(100, {xid=100, initpid=PID}) = 0'])
  t.same(await callsOf(204, () => daemon.post('/contexts/100/wait?timeout=0.1')), [], 'it is being waited for')
  first.destroy()
  const ended = await until('the call is over', async () => {
    // The emulator sees at another call that this one was interrupted: at the question for a new client.
    await daemon.get('/health', { headers: { connection: 'close' } })
    return raw().slice(seen).some(ofWaits) && newCalls()
  })
  t.same(ended, ['0 wait_exit(100) = -1 EINTR'])
})

void t.test('destroy of a persistent context with a process', needsEmulator(), async (t) => {
  t.same(await callsOf(204, () => daemon.delete('/contexts/100?signal=SIGTERM&grace=30')), [
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 get_cflags(100, {flagword=0x0000004400080000, mask=0xfffffffcffffffff}) = 0',
    '0 set_cflags(100, {flagword=0x0000000000000000, mask=0x0000004000000000}) = 0',
    '0 vx_info(100, {xid=100, initpid=PID}) = 0',
    '0 get_cflags(100, {flagword=0x0000000400080000, mask=0xfffffffcffffffff}) = 0',
    '0 ctx_kill(100, {pid=0, sig=15}) = 0',
    '0 wait_exit(100, {reboot_cmd=0x00000000, exit_code=0x000f}) = 0'
  ])
  t.same(await callsOf(404, () => daemon.delete('/contexts/100')), ['0 vx_info(100) = -1 ESRCH'])
})

void t.test('create without anything, and destroy', needsEmulator(), async (t) => {
  const calls = await callsOf(201, () => daemon.post('/contexts', { xid: 101, uname: { nodename: 'bare' } }))
  t.same(calls, [
    '0 vx_info(101) = -1 ESRCH',
    '0 vx_info(101) = -1 ESRCH',
    '0 ctx_create(101, {flagword=0x0000004700000000}) = 101',
    '101 set_space(101, {mask=0x000000000c020200}) = 0',
    '0 set_bcaps(101, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
    '0 set_vhi_name(101, {field=2, name="bare"}) = 0',
    '0 get_cflags(101, {flagword=0x0000004700000000, mask=0xffffffffffffffff}) = 0',
    '0 ctx_stat(101, {usecnt=3, tasks=1}) = 0',
    '0 virt_stat(101, {...}) = 0',
    '0 get_vhi_name(101, {field=0, name=""}) = 0',
    '0 get_vhi_name(101, {field=1, name="Linux"}) = 0',
    '0 get_vhi_name(101, {field=2, name="bare"}) = 0',
    '0 get_vhi_name(101, {field=3, name="RELEASE"}) = 0',
    '0 get_vhi_name(101, {field=4, name="VERSION"}) = 0',
    '0 get_vhi_name(101, {field=5, name="MACHINE"}) = 0',
    '0 get_vhi_name(101, {field=6, name="(none)"}) = 0',
    '0 vx_info(101, {xid=101, initpid=0}) = 0',
    '0 get_bcaps(101, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
    '0 get_ccaps(101, {ccaps=0x0000000000000000, cmask=0xffffffffffffffff}) = 0',
    '0 vx_info(101, {xid=101, initpid=0}) = 0',
    '0 virt_stat(101, {...}) = 0'
  ])
  t.same(await callsOf(204, () => daemon.delete('/contexts/101')), [
    '0 vx_info(101, {xid=101, initpid=0}) = 0',
    '0 vx_info(101, {xid=101, initpid=0}) = 0',
    '0 get_cflags(101, {flagword=0x0000004700000000, mask=0xffffffffffffffff}) = 0',
    '0 set_cflags(101, {flagword=0x0000000000000000, mask=0x0000004000000000}) = 0',
    '0 vx_info(101) = -1 ESRCH',
    '0 ctx_kill(101, {pid=0, sig=15}) = -1 ESRCH',
    '0 wait_exit(101, {reboot_cmd=0x00000000, exit_code=0x0000}) = 0'
  ])
})

void t.test(
  'the first process of a context in setup ends the setup; the next one does not',
  needsEmulator(),
  async (t) => {
    expect(201, await daemon.post('/contexts', { xid: 102 }))
    const run = () => callsOf(200, () => daemon.post('/contexts/102/processes', { argv: ['/bin/true'], capture: true }))
    t.same(await run(), [
      '0 vx_info(102, {xid=102, initpid=0}) = 0',
      '0 get_cflags(102, {flagword=0x0000004700000000, mask=0xffffffffffffffff}) = 0',
      '0 virt_stat(102, {...}) = 0',
      '0 enter_space(102, {mask=0x000000000c020200}) = 0',
      '0 get_bcaps(102, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
      '0 ctx_migrate(102, {flagword=0x0000000000000000}) = 0',
      '102 set_cflags(102, {flagword=0x0000000000000000, mask=0x0000000100000000}) = 0'
    ])
    t.same(await run(), [
      '0 vx_info(102, {xid=102, initpid=0}) = 0',
      '0 get_cflags(102, {flagword=0x0000004600000000, mask=0xfffffffeffffffff}) = 0',
      '0 virt_stat(102, {...}) = 0',
      '0 enter_space(102, {mask=0x000000000c020200}) = 0',
      '0 get_bcaps(102, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
      '0 ctx_migrate(102, {flagword=0x0000000000000000}) = 0'
    ])
    expect(204, await daemon.delete('/contexts/102'))
  }
)

void t.test(
  'a private context is open for its first process only while nobody is in it',
  needsEmulator(),
  async (t) => {
    const body = { xid: 103, flags: ['PERSISTENT', 'INFO_PRIVATE'], init: { argv: sleep } }
    const calls = await callsOf(201, () => daemon.post('/contexts', body))
    t.same(
      calls.filter((line) => /(ctx_create|set_cflags|enter_space|ctx_migrate)/.test(line)),
      [
        '0 ctx_create(103, {flagword=0x0000004700000008}) = 103',
        '0 set_cflags(103, {flagword=0x0000000000000000, mask=0x0000000000000008}) = 0',
        '0 enter_space(103, {mask=0x000000000c020200}) = 0',
        '0 ctx_migrate(103, {flagword=0x0000000000000003}) = 0',
        '103 set_cflags(103, {flagword=0x0000000000000008, mask=0x0000000300000008}) = 0'
      ]
    )
    expect(204, await daemon.delete('/contexts/103?grace=0'))
  }
)

void t.test('create of a context that ends with its init begins a wait', needsEmulator(), async (t) => {
  const body = { xid: 104, init: { argv: ['/bin/sh', '-c', 'exit 42'] } }
  const calls = await callsOf(200, () => daemon.post('/contexts?wait=60', body))
  t.same(calls.slice(0, 10), [
    '0 vx_info(104) = -1 ESRCH',
    '0 vx_info(104) = -1 ESRCH',
    '0 ctx_create(104, {flagword=0x0000004700000000}) = 104',
    '104 set_space(104, {mask=0x000000000c020200}) = 0',
    '0 set_bcaps(104, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
    '0 get_cflags(104, {flagword=0x0000004700000000, mask=0xffffffffffffffff}) = 0',
    '0 enter_space(104, {mask=0x000000000c020200}) = 0',
    '0 get_bcaps(104, {bcaps=0x00000000b44c04ff, bmask=0xffffffffffffffff}) = 0',
    '0 ctx_migrate(104, {flagword=0x0000000000000003}) = 0',
    '104 set_cflags(104, {flagword=0x0000000000000000, mask=0x0000000300000000}) = 0'
  ])
  // When its init is over, sooner or later, decides which questions are left to ask.
  t.same(
    calls.slice(10).filter((line) => line.includes(' set_')),
    ['0 set_cflags(104, {flagword=0x0000000000000000, mask=0x0000004000000000}) = 0']
  )
  t.same(calls.slice(-1), ['0 wait_exit(104, {reboot_cmd=0x00000000, exit_code=0x2a00}) = 0'])
  t.same(await callsOf(200, () => daemon.post('/contexts/104/wait')), ['0 vx_info(104) = -1 ESRCH'], 'it is kept')
})

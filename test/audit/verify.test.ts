/** `contextd audit verify`: what was done to a log is seen, and the first bad line is named. */
import { createWriteStream, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { seal, START } from '../../daemon/audit/record.js'
import { verify } from '../../daemon/audit/verify.js'
import { contextd } from '../support/command.js'
import { matches } from '../support/matches.js'
import { chainOf, folder, verified } from './support.js'

void t.test('a whole log is whole: its lines are counted, the last one is told with its SHA-256', async (t) => {
  const path = join(folder(t), 'audit.log')
  const { lines, head } = chainOf(50)
  writeFileSync(path, lines.join(''))
  t.same(await contextd(['audit', 'verify', path]), {
    code: 0,
    stdout: `${path}: 50 lines, 1 to 50\nwhole: 50 lines\nlast: 50:${head.sha256}\n`,
    stderr: ''
  })
  matches(t, await verified(t, ''), { lines: 0, faults: [] }, 'an empty one too')
})

void t.test('a log that is not whole is 1, with the first bad line', async (t) => {
  const path = join(folder(t), 'audit.log')
  const { lines } = chainOf(5)
  writeFileSync(path, lines.toSpliced(2, 1).join(''))
  const { code, stdout, stderr } = await contextd(['audit', 'verify', path])
  t.same([code, stderr], [1, ''])
  t.match(stdout, `BAD: ${path}:3: the sequence number is 4, and 3 was expected\nnot whole\nlast: 2:`)
})

void t.test('every way to bend a log is named with its line', async (t) => {
  const { lines } = chainOf(20)
  const changed = (change: (lines: string[]) => void) => {
    const copy = [...lines]
    change(copy)
    return copy.join('')
  }
  const [first = '', second = ''] = lines
  const { prev } = JSON.parse(lines[9] ?? '') as { prev: string }
  const forged = seal({ event: 'gap', missing: 0, since: '', reason: '' }, { seq: 9, sha256: prev }).line
  const cases: [string, string, RegExp][] = [
    [
      'a byte flipped',
      changed((l) => (l[6] = l[6]?.replace('PATCH', 'PATCI') ?? '')),
      /audit\.log:7: the line was changed/
    ],
    ['a line removed', changed((l) => l.splice(6, 1)), /audit\.log:7: the sequence number is 8, and 7 was expected/],
    ['two swapped', changed((l) => l.splice(6, 2, l[7] ?? '', l[6] ?? '')), /audit\.log:7: the sequence number is 8/],
    ['one twice', changed((l) => l.splice(6, 0, l[6] ?? '')), /audit\.log:8: the sequence number is 7, and 8 was/],
    ['a truncated tail', lines.join('').slice(0, -10), /audit\.log:20: the line is not whole: \d+ bytes/],
    ['the last line feed cut', lines.join('').slice(0, -1), /audit\.log:20: the line is not whole/],
    ['a line replaced, its sum made anew', changed((l) => (l[9] = forged)), /audit\.log:11: the line does not follow/],
    ['no JSON', changed((l) => l.splice(3, 0, 'rubbish\n')), /audit\.log:4: the line is not JSON/],
    ['an empty line', changed((l) => l.splice(3, 0, '\n')), /audit\.log:4: the line is not JSON/],
    ['other JSON', changed((l) => l.splice(3, 0, '{"seq":4}\n')), /audit\.log:4: the line is not a record/],
    [
      'zeros',
      Buffer.concat([Buffer.from(first + second), Buffer.alloc(5000)]).toString(),
      /audit\.log:3: the line is not whole/
    ],
    [
      'another beginning',
      changed((l) => (l[0] = first.replace('"prev":"0', '"prev":"1'))),
      /audit\.log:1: the line was changed/
    ]
  ]
  for (const [what, text, message] of cases) {
    const { faults } = await verified(t, text)
    t.equal(faults.length, 1, what)
    t.match(faults[0], message, what)
  }
})

void t.test('a line whose sum and number were made anew does not follow the one before', async (t) => {
  const own = chainOf(5)
  const other = chainOf(6)
  const sealed = seal({ event: 'lost', lines: 0 }, { seq: 5, sha256: other.head.sha256 })
  matches(t, await verified(t, own.lines.join('') + sealed.line), {
    faults: [/audit\.log:6: the line does not follow/]
  })
})

void t.test('any single byte that is changed, anywhere, is found in the line it is in', async (t) => {
  const path = join(folder(t), 'audit.log')
  const whole = Buffer.from(chainOf(30).lines.join(''))
  for (let round = 0; round < 200; round++) {
    const bent = Buffer.from(whole)
    const at = Math.floor(Math.random() * bent.length)
    const before = bent[at] ?? 0
    bent[at] = before ^ (1 + Math.floor(Math.random() * 255))
    writeFileSync(path, bent)
    const { faults } = await verify([path])
    const line = whole.subarray(0, at).toString().split('\n').length
    const what = `byte ${at} ${before} -> ${bent[at]}`
    t.equal(faults.length, 1, what)
    t.match(faults[0], `${path}:${line}: `, what)
  }
})

void t.test(
  'the chain goes on over rotated files, compressed ones too, in whatever order they are given',
  async (t) => {
    const directory = folder(t)
    const { lines, head } = chainOf(30)
    const [oldest, older, newest] = ['audit.log.2.gz', 'audit.log.1', 'audit.log'].map((name) => join(directory, name))
    writeFileSync(oldest ?? '', gzipSync(lines.slice(0, 10).join('')))
    writeFileSync(older ?? '', lines.slice(10, 20).join(''))
    writeFileSync(newest ?? '', lines.slice(20).join(''))
    const { code, stdout } = await contextd(['audit', 'verify', newest ?? '', oldest ?? '', older ?? ''])
    t.equal(code, 0)
    t.match(
      stdout,
      /audit\.log\.2\.gz: 10 lines, 1 to 10\n.*audit\.log\.1: 10 lines, 11 to 20\n.*audit\.log: 10 lines, 21 to 30/
    )
    t.match(stdout, `last: 30:${head.sha256}`)

    const part = await contextd(['audit', 'verify', older ?? '', newest ?? ''])
    t.match(part, { code: 0, stdout: /note: .*audit\.log\.1:1: begins with line 11/ }, 'older files may be gone by now')
    const gap = await contextd(['audit', 'verify', oldest ?? '', newest ?? ''])
    t.match(gap, { code: 1, stdout: /audit\.log:1: the sequence number is 21, and 11 was expected/ })
    writeFileSync(older ?? '', lines.slice(10, 19).join(''))
    t.match(await contextd(['audit', 'verify', oldest ?? '', older ?? '', newest ?? '']), {
      code: 1,
      stdout: /audit\.log:1: the sequence number is 21, and 20 was expected/
    })
    writeFileSync(oldest ?? '', gzipSync(lines.slice(0, 10).join('')).subarray(0, -20))
    t.match(await contextd(['audit', 'verify', oldest ?? '', older ?? '']), {
      code: 2,
      stderr: /unexpected end of file/
    })
  }
)

void t.test('a line that is known from elsewhere shows a tail that was cut off, and a log written anew', async (t) => {
  const { lines, head } = chainOf(10)
  matches(t, await verified(t, lines.join(''), head), { faults: [] })
  const cut = lines.slice(0, 8).join('')
  matches(t, await verified(t, cut), { faults: [] }, 'the chain alone cannot show it')
  matches(t, await verified(t, cut, head), { faults: [/line 10, .* is not there/] })
  const nine = chainOf(9)
  const forged = seal({ event: 'gap', missing: 0, since: '', reason: '' }, nine.head).line
  matches(t, await verified(t, nine.lines.join('') + forged, head), {
    faults: [/audit\.log:10: the line is not the one that is known from elsewhere/]
  })
  const path = join(folder(t), 'audit.log')
  writeFileSync(path, cut)
  t.match(await contextd(['audit', 'verify', '--anchor', `10:${head.sha256}`, path]), {
    code: 1,
    stdout: /is not there/
  })
})

void t.test('what a log says of itself is told: lost lines are a fault, the rest is a note', async (t) => {
  const { lines, head } = chainOf(3)
  const torn = seal({ event: 'torn', bytes: 17, base64: '' }, head)
  const gap = seal({ event: 'gap', missing: 7, since: 'x', reason: 'ENOSPC' }, torn.head)
  const noted = lines.join('') + torn.line + gap.line
  matches(t, await verified(t, noted), {
    notes: [/audit\.log:4: a crash left 17 bytes/, /audit\.log:5: 7 lines could not be written \(ENOSPC\)/],
    faults: []
  })
  const lost = seal({ event: 'lost', lines: 4 }, { seq: gap.head.seq + 4, sha256: gap.head.sha256 })
  matches(t, await verified(t, noted + lost.line), { faults: [/audit\.log:6: lines 6 to 9 were written and are gone/] })
})

void t.test('a big log is read as a stream', async (t) => {
  const path = join(folder(t), 'audit.log')
  const out = createWriteStream(path)
  let head = START
  for (let part = 0; part < 40; part++) {
    const chain = chainOf(2500, head)
    head = chain.head
    if (!out.write(chain.lines.join(''))) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
  const before = process.memoryUsage().rss
  let most = 0
  const verdict = await verify([path], {
    onProgress: () => {
      most = Math.max(most, process.memoryUsage().rss)
    }
  })
  matches(t, verdict, { lines: 100_000, last: head, faults: [] })
  t.ok(most - before < 40 << 20, `40 MB and more are read with ${(most - before) >> 20} MiB`)
})

void t.test('bad usage and files that cannot be read are 2, help is 0', async (t) => {
  const cases = [
    [[], /audit: verify\?/],
    [['prove'], /unknown command "prove"/],
    [['verify'], /which files/],
    [['verify', '--deep', 'x'], /--deep/],
    [['verify', '--anchor', '12', 'x'], /"12" is no SEQ:SHA256/],
    [['verify', '/nowhere/audit.log'], /ENOENT/],
    [['verify', '/'], /EISDIR/]
  ] as const
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await contextd(['audit', ...args])
    t.same([code, stdout], [2, ''], args.join(' '))
    t.match(stderr, message)
  }
  for (const args of [['--help'], ['verify', '--help']])
    t.match(await contextd(['audit', ...args]), { code: 0, stderr: '', stdout: /--anchor/ })
})

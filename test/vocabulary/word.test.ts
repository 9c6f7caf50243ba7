import { randomBytes } from 'node:crypto'
import t from 'tap'
import { bcapsFor } from '../../daemon/vocabulary/bcaps.js'
import { ccaps } from '../../daemon/vocabulary/ccaps.js'
import { flags } from '../../daemon/vocabulary/flags.js'
import { migrate } from '../../daemon/vocabulary/migrate.js'
import { formatWord, parseWord, rowsFrom, VocabularyError, WordTable } from '../../daemon/vocabulary/word.js'

const row = rowsFrom('test')
const edges = [0n, 1n, 1n << 31n, 1n << 32n, 1n << 63n, (1n << 53n) + 1n, (1n << 64n) - 1n, 0x7fff_ffff_ffff_ffffn]
const random = Array.from({ length: 500 }, () => randomBytes(8).readBigUInt64BE())
const tables = [flags, ccaps, migrate, bcapsFor('seed'), bcapsFor('vs2.3'), bcapsFor('linux')]

void t.test('a word is written as 0x and 16 lower-case digits', async (t) => {
  t.equal(formatWord(0n), '0x0000000000000000')
  t.equal(formatWord(0x46_0000_0000n), '0x0000004600000000')
  t.equal(formatWord(0xffff_ffff_ffff_ffffn), '0xffffffffffffffff')
})

void t.test('what is no 64-bit word is not written', async (t) => {
  t.throws(() => formatWord(-1n), RangeError)
  t.throws(() => formatWord(1n << 64n), RangeError)
  t.throws(() => flags.view(1n << 64n), RangeError)
})

void t.test('short, padded and upper-case digits are read', async (t) => {
  t.equal(parseWord('0x0'), 0n)
  t.equal(parseWord('0x46'), 70n)
  t.equal(parseWord('0XABCDEF'), 0xabcdefn)
  t.equal(parseWord('0x0000004600000000'), 0x46_0000_0000n)
})

void t.test('anything else is refused as a word', async (t) => {
  const bad = ['', '0x', '70', '46', 'ff', '-0x1', '0x-1', '-1', '0x10000000000000000', '0x00000000000000000']
  const odd = [' 0x1', '0x1 ', '0x1\n', '0x1n', '0xg', '0x1_0', '0b1', '0x1.0', '1e3', '\u0660x1', '0x\u0661']
  for (const text of [...bad, ...odd]) t.throws(() => parseWord(text), VocabularyError, JSON.stringify(text))
})

void t.test('every 64-bit word survives writing and reading', async (t) => {
  for (const word of [...edges, ...random]) t.equal(parseWord(formatWord(word)), word)
})

void t.test('names and unknown bits rebuild the word, in every table', async (t) => {
  for (const table of tables) {
    for (const word of [...edges, ...random]) {
      const view = table.view(word)
      t.equal(parseWord(view.value), word)
      t.equal(table.parse(view.names) | parseWord(view.unknown), word, `${table.prefix} ${formatWord(word)}`)
      t.equal(parseWord(view.unknown) & table.known, 0n)
    }
  }
})

void t.test('the view of a word has its names in bit order and its unknown bits', async (t) => {
  t.same(flags.view(0x46_0000_0001n), {
    value: '0x0000004600000001',
    names: ['STATE_INIT', 'STATE_ADMIN', 'PERSISTENT'],
    unknown: '0x0000000000000001'
  })
})

void t.test('a view is frozen, shared, and still right after the cache was emptied', async (t) => {
  const table = new WordTable('VXM_', [row(0, 'A', 'a')])
  const first = table.view(1n)
  t.equal(table.view(1n), first)
  t.ok(Object.isFrozen(first) && Object.isFrozen(first.names))
  for (let word = 2n; word <= 4096n; word++) table.view(word)
  t.equal(table.view(1n), first, 'kept while the 4096 entries fit')
  table.view(4097n)
  t.not(table.view(1n), first, 'dropped when full')
  t.same(table.view(1n), first)
})

void t.test('rows come in bit order whatever the order they were given in', async (t) => {
  const given = [row(63, 'LAST', 'l'), row(0, 'FIRST', 'f'), row(9, 'MIDDLE', 'm')]
  const table = new WordTable('VXF_', given)
  t.same(
    table.rows.map(({ name }) => name),
    ['FIRST', 'MIDDLE', 'LAST']
  )
  t.same(table.names(0xffff_ffff_ffff_ffffn), ['FIRST', 'MIDDLE', 'LAST'])
  t.equal(table.known, (1n << 63n) | (1n << 9n) | 1n)
  t.equal(given[0]?.name, 'LAST', 'the given rows stay as they were')
})

void t.test('a table with an ambiguous or impossible row is refused', async (t) => {
  t.throws(() => new WordTable('VXF_', [row(0, 'A', ''), row(1, 'A', '')]), { message: 'VXF_A: duplicate name' })
  t.throws(() => new WordTable('VXF_', [row(3, 'A', ''), row(3, 'B', '')]), { message: 'VXF_B: duplicate bit 3' })
  for (const bit of [-1, 64, 1.5, NaN]) t.throws(() => new WordTable('VXF_', [row(bit, 'A', '')]), /bad bit/)
  for (const name of ['', 'a', 'VXF_A', 'A B', '1']) {
    t.throws(() => new WordTable('VXF_', [row(0, name, '')]), /bad name/)
  }
})

void t.test('names are read with and without the prefix, in any case', async (t) => {
  for (const name of ['PERSISTENT', 'VXF_PERSISTENT', 'persistent', 'vxf_persistent', 'Vxf_Persistent']) {
    t.equal(flags.bit(name), 1n << 38n, name)
    t.equal(flags.find(name)?.bit, 38, name)
  }
  t.equal(flags.parse(['vxf_state_init', 'STATE_ADMIN', 'persistent']), 0x46_0000_0000n)
  t.equal(flags.parse(['PERSISTENT', 'VXF_PERSISTENT']), 1n << 38n, 'twice is once')
  t.equal(flags.parse([]), 0n)
})

void t.test('an unknown name is refused, named, and answered with the closest one', async (t) => {
  const message = (name: string) => {
    try {
      flags.parse(['PERSISTENT', name])
    } catch (error) {
      t.ok(error instanceof VocabularyError)
      return (error as Error).message
    }
    return undefined
  }
  t.equal(message('PERSISTANT'), 'unknown VXF_ name "PERSISTANT", did you mean PERSISTENT?')
  t.equal(message('vxf_hide_netfi'), 'unknown VXF_ name "vxf_hide_netfi", did you mean HIDE_NETIF?')
  t.equal(message('state-init'), 'unknown VXF_ name "state-init", did you mean STATE_INIT?')
  t.equal(message(' PERSISTENT'), 'unknown VXF_ name " PERSISTENT", did you mean PERSISTENT?')
  t.equal(message('INFO_NSPAC'), 'unknown VXF_ name "INFO_NSPAC", did you mean INFO_NSPACE?')
  t.equal(message('SOMETHING'), 'unknown VXF_ name "SOMETHING"')
  t.equal(message('VXC_SYSLOG'), 'unknown VXF_ name "VXC_SYSLOG"')
  t.equal(message(''), 'unknown VXF_ name ""')
  t.equal(message('A\n"B'), 'unknown VXF_ name "A\\n\\"B"')
  t.equal(message('X'.repeat(60_000)), `unknown VXF_ name "${'X'.repeat(40)}"…`)
})

void t.test('of several near names the nearest is suggested, wherever it stands', async (t) => {
  const rows = [row(0, 'MOUNT', ''), row(1, 'MOUNTED', '')]
  for (const given of [rows, rows.toReversed()]) {
    const table = new WordTable('VXF_', given)
    t.throws(() => table.bit('MOUNTT'), { message: 'unknown VXF_ name "MOUNTT", did you mean MOUNT?' })
  }
})

void t.test('letters that only upper-case to ASCII are no letters of a name', async (t) => {
  t.throws(() => flags.bit('per\u017fistent'), VocabularyError)
  t.equal(flags.find('per\u017fistent'), undefined)
})

void t.test('words that no name stands for are not found', async (t) => {
  t.equal(flags.find('CHOWN'), undefined)
  t.equal(flags.find('VXF_VXF_PERSISTENT'), undefined)
  t.equal(flags.find('__proto__'), undefined)
  t.throws(() => flags.bit('constructor'), VocabularyError)
})

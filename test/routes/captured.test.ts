/** The answer to a process with much output is the same text, whatever the bytes, as if it were encoded at once. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { capturedText, endOfCharacters } from '../../daemon/routes/captured.js'

const PIECE = 16_384

async function parsed(stdout: Buffer, stderr: Buffer): Promise<unknown> {
  const pieces: string[] = []
  for await (const piece of capturedText({ pid: 5 }, stdout, stderr)) pieces.push(piece as string)
  t.ok(
    pieces.every((piece) => piece.length <= 6 * PIECE),
    'no piece is long'
  )
  return JSON.parse(pieces.join(''))
}

void t.test('NUL, quotes, bytes that are no UTF-8 and long characters at every place of a border', async (t) => {
  const texts = ['\0', '"\\', '\xff', 'é', '€', '😀'].map((text, i) => Buffer.from(text, i === 2 ? 'latin1' : 'utf8'))
  for (const text of texts)
    for (let shift = 0; shift < 4; shift++) {
      const bytes = Buffer.concat([Buffer.alloc(shift, 'x'), Buffer.alloc(3 * PIECE, text)])
      t.strictSame(await parsed(bytes, text), { pid: 5, stdout: bytes.toString(), stderr: text.toString() })
    }
})

void t.test('random bytes are cut where the whole would be', async (t) => {
  for (let round = 0; round < 2000; round++) {
    const bytes = randomBytes(12)
    for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] ?? 0) | (round % 3 === 0 ? 0x80 : 0)
    let text = ''
    for (let at = 0, end; at < bytes.length; at = end) {
      end = endOfCharacters(bytes, at + 5)
      text += bytes.toString('utf8', at, end)
    }
    if (text !== bytes.toString()) t.fail(bytes.toString('hex'))
  }
  t.strictSame(await parsed(Buffer.alloc(0), Buffer.alloc(0)), { pid: 5, stdout: '', stderr: '' })
})

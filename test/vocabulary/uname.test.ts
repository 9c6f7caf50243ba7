import t from 'tap'
import { checkUnameValue, UNAME_MAX } from '../../daemon/vocabulary/uname.js'

void t.test('a value has at most 64 bytes', async (t) => {
  t.equal(UNAME_MAX, 64)
  t.equal(checkUnameValue(''), undefined)
  t.equal(checkUnameValue('guest.example.org'), undefined)
  t.equal(checkUnameValue('A'.repeat(64)), undefined)
  t.equal(checkUnameValue('A'.repeat(65)), 'has 65 bytes in UTF-8, the limit is 64')
})

void t.test('the bytes of UTF-8 count, not the characters', async (t) => {
  t.equal(checkUnameValue('é'.repeat(32)), undefined)
  t.equal(checkUnameValue('é'.repeat(33)), 'has 66 bytes in UTF-8, the limit is 64')
  t.equal(checkUnameValue('€'.repeat(21) + 'x'), undefined)
  t.equal(checkUnameValue('€'.repeat(22)), 'has 66 bytes in UTF-8, the limit is 64')
  t.equal(checkUnameValue('🐧'.repeat(16)), undefined)
  t.equal(checkUnameValue('🐧'.repeat(16) + 'x'), 'has 65 bytes in UTF-8, the limit is 64')
})

void t.test('a NUL would end the value early', async (t) => {
  for (const value of ['\0', 'a\0', '\0a', 'a\0b']) t.equal(checkUnameValue(value), 'has a NUL character')
})

void t.test('half a surrogate pair would not be read back as it was', async (t) => {
  t.equal(checkUnameValue('a\ud83d'), 'is not valid Unicode')
  t.equal(checkUnameValue('\udc27a'), 'is not valid Unicode')
})

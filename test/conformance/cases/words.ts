/** vx_{flags,bcaps,ccaps}_{get,set}: GET, PUT and PATCH of words. */
import { hex, isProblem, isStateName, wordKinds, type Cases, type Word, type WordKind } from '../support.js'

/** Bits of flags that are free in every kernel, so that any of them can be set on a real one. */
const UNUSED_FLAGS = (1n << 0n) | (1n << 11n) | (1n << 40n) | (1n << 55n) | (1n << 63n)
const arbitrary = [0n, 0x1234_5678_9abc_def0n, 0x8000_0000_0000_0001n, 0xffff_ffff_ffff_ffffn]

export const words: Cases = (test, api) => {
  const { daemon } = api
  /** Two names of each kind to try things with; PERSISTENT keeps the context. */
  const some: Record<WordKind, [string, string]> = {
    flags: ['INFO_SCHED', 'INFO_PRIVATE'],
    bcaps: ['CHOWN', 'SYS_CHROOT'],
    ccaps: ['SET_UTSNAME', 'SET_RLIMIT']
  }
  const stateBits = api.vocabulary.flags
    .filter(({ name }) => isStateName(name))
    .reduce((word, { value }) => word | BigInt(value ?? 0), 0n)
  const whole = (kind: WordKind, names: string[]) => (kind === 'flags' ? ['PERSISTENT', ...names] : names)

  for (const kind of wordKinds) {
    const url = (path: string) => `${path}/${kind}?unsupported=record`
    const [first, second] = some[kind]
    const withoutState = ({ names }: Word) => names.filter((name) => !isStateName(name) && name !== 'PERSISTENT')

    test(`${kind}: a word has 16 digits, the names of its bits in bit order, and the bits without a name`, async (t) => {
      const guest = await api.guest(t)
      const word = await api.word(guest, kind)
      const { value, names, unknown } = word
      const rows = api.vocabulary[kind].filter((row) => BigInt(value) & BigInt(row.value ?? 0))
      t.match(value, /^0x[0-9a-f]{16}$/)
      t.same(
        names,
        rows.map(({ name }) => name)
      )
      t.equal(unknown, hex(BigInt(value) & ~rows.reduce((bits, row) => bits | BigInt(row.value ?? 0), 0n)))
      const context = await guest.context()
      t.same(context[kind], word, 'the context shows the same')
    })

    test(`${kind}: arbitrary words are kept exactly, bits without a name too`, async (t) => {
      const guest = await api.guest(t)
      const persistent = api.bit('flags', 'PERSISTENT')
      const values = kind === 'flags' ? [UNUSED_FLAGS, 0n].map((value) => value | persistent) : arbitrary
      for (const value of values) {
        const before = BigInt((await api.word(guest, kind)).value)
        const expected = kind === 'flags' ? value | (before & stateBits) : value
        const reply = await daemon.put(url(guest.path), { value: hex(value) })
        t.match(reply, { status: 200, body: { value: hex(expected), changed: expected !== before } }, hex(value))
        const word = await api.word(guest, kind)
        t.equal(word.value, hex(expected))
        const named = word.names.reduce((bits, name) => bits | api.bit(kind, name), 0n)
        t.equal(named | BigInt(word.unknown), expected, 'names and unknown are all of it')
      }
    })

    test(`${kind}: PUT replaces the word by these names; the second time it changes nothing`, async (t) => {
      const guest = await api.guest(t)
      for (const names of [[first, second], [second], []]) {
        const reply = await daemon.put(url(guest.path), { names: whole(kind, names) })
        t.equal(reply.status, 200)
        const word = reply.body as Word
        t.same(withoutState(word), names)
        const etag = await api.etag(guest)
        t.match(await daemon.put(url(guest.path), { names: whole(kind, names) }), {
          status: 200,
          body: { changed: false }
        })
        t.equal(await api.etag(guest), etag)
        t.same({ ...(await api.word(guest, kind)), changed: true }, { ...word, changed: true }, 'GET shows the same')
      }
    })

    test(`${kind}: PATCH sets and clears single names; the second time it changes nothing`, async (t) => {
      const guest = await api.guest(t)
      await daemon.put(url(guest.path), { names: whole(kind, [first]) })
      const body = { set: [second.toLowerCase()], clear: [first] }
      t.match(await daemon.patch(url(guest.path), body), { status: 200, body: { changed: true } })
      t.same(withoutState(await api.word(guest, kind)), [second])
      t.match(await daemon.patch(url(guest.path), body), { status: 200, body: { changed: false } })
      t.match(await daemon.patch(url(guest.path), { set: [] }), { status: 200, body: { changed: false } })
      t.same(withoutState(await api.word(guest, kind)), [second])
    })

    test(`${kind}: PATCH of a number changes the bits of its mask and no other`, async (t) => {
      const guest = await api.guest(t)
      await daemon.put(url(guest.path), { names: whole(kind, [first]) })
      const before = BigInt((await api.word(guest, kind)).value)
      const mask = api.bit(kind, second) | (1n << 55n)
      const set = await daemon.patch(url(guest.path), { value: '0xffffffffffffffff', mask: hex(mask) })
      t.match(set, { status: 200, body: { value: hex(before | mask), changed: true } })
      t.match(await daemon.patch(url(guest.path), { value: '0x0', mask: hex(mask) }), { body: { value: hex(before) } })
      t.equal((await api.word(guest, kind)).value, hex(before))
    })

    test(`${kind}: an unsupported name is 422 and changes nothing, every other one is taken`, async (t) => {
      const guest = await api.guest(t)
      await daemon.put(url(guest.path), { names: whole(kind, []) })
      const before = await guest.context()
      for (const { name, treatment } of api.vocabulary[kind]) {
        // Whether a name of creation can be set later is not said.
        if (isStateName(name) || name === 'PERSISTENT' || treatment === 'at_create') continue
        const path = `${guest.path}/${kind}`
        const bit = hex(api.bit(kind, name))
        const reply = await daemon.patch(path, { set: [name] })
        if (treatment === 'unsupported') {
          isProblem(t, reply, 422, { type: 'unsupported', detail: new RegExp(`\\b${name}\\b`) }, `${name} is refused`)
          isProblem(t, await daemon.patch(path, { value: bit, mask: bit }), 422, { type: 'unsupported' }, 'as number')
          isProblem(t, await daemon.put(path, { names: whole(kind, [name]) }), 422, { type: 'unsupported' }, 'by PUT')
          t.same(await guest.context(), before, 'nothing is changed')
          t.match(
            await daemon.patch(url(guest.path), { set: [name] }),
            { status: 200, body: { changed: true } },
            'kept'
          )
        } else {
          t.match(reply, { status: 200, body: { changed: true } }, `${name} is taken`)
        }
        t.ok((await api.word(guest, kind)).names.includes(name))
        t.match(await daemon.patch(path, { clear: [name] }), { status: 200, body: { changed: true } }, 'cleared')
      }
    })

    test(`${kind}: a dry run shows the word as it would be, and changes nothing`, async (t) => {
      const guest = await api.guest(t)
      await daemon.put(url(guest.path), { names: whole(kind, [first]) })
      const before = await guest.context()
      const put = await daemon.put(`${url(guest.path)}&dry_run=true`, { names: whole(kind, [second]) })
      t.match(put, { status: 200, body: { changed: true } })
      t.same(withoutState(put.body as Word), [second])
      const patched = await daemon.patch(`${url(guest.path)}&dry_run=true`, { set: [second] })
      t.same(withoutState(patched.body as Word), [first, second])
      const none = await daemon.patch(`${url(guest.path)}&dry_run=true`, { set: [first] })
      t.match(none, { status: 200, body: { changed: false } })
      t.same(await guest.context(), before)
    })

    test(`${kind}: what is no word is 400 and changes nothing`, async (t) => {
      const guest = await api.guest(t)
      const before = await guest.context()
      const puts = [{}, { names: [first], value: '0x1' }, { names: ['NO_SUCH_NAME'] }, { names: first }, { value: 1 }]
      const numbers = ['1', '0x', '0x10000000000000000', '0xg', '-0x1', ''].map((value) => ({ value }))
      for (const body of [...puts, ...numbers, { mask: '0x1' }])
        isProblem(t, await daemon.put(url(guest.path), body), 400, {}, `PUT ${JSON.stringify(body)}`)
      const patches = [
        {},
        { value: '0x1' },
        { mask: '0x1' },
        { set: [first], clear: [first] },
        { set: [first], value: '0x1', mask: '0x1' },
        { set: ['NO_SUCH_NAME'] },
        { names: [first] }
      ]
      for (const body of patches)
        isProblem(t, await daemon.patch(url(guest.path), body), 400, {}, `PATCH ${JSON.stringify(body)}`)
      t.same(await guest.context(), before)
    })
  }
}

/** vx_uname_{get,set}: the virtual system information of a context. */
import { bodyOf, isProblem, type Cases } from '../support.js'
import { matches } from '../../support/matches.js'

const BYTES = 64
const multibyte = ['é'.repeat(BYTES / 2), '漢'.repeat(BYTES / 3) + 'x', '😀'.repeat(BYTES / 4)]

export const uname: Cases = (test, api) => {
  const { daemon } = api
  const fields = api.vocabulary.uname.map(({ name }) => name)
  const settable = fields.filter((name) => api.isSupported('uname', name))

  test('the system information has all seven fields, together and one by one', async (t) => {
    t.same(fields, ['context', 'sysname', 'nodename', 'release', 'version', 'machine', 'domainname'])
    const guest = await api.guest(t, { name: 'web' })
    const all = bodyOf<Record<string, string | null>>(await daemon.get(`${guest.path}/uname`))
    t.same(Object.keys(all), fields)
    t.equal(all.context, 'web')
    t.same((await guest.context()).uname, all)
    for (const field of fields) {
      const one = await daemon.get(`${guest.path}/uname/${field}`)
      t.same([one.status, one.body], [200, { field, value: all[field] }])
    }
    isProblem(t, await daemon.get(`${guest.path}/uname/hostname`), 400, { type: 'validation' }, 'no other field')
    isProblem(t, await daemon.patch(`${guest.path}/uname`, { hostname: 'x' }), 400, { detail: /hostname/ })
  })

  test('a field that is unsupported is 422 and stays as it is, every other one can be set', async (t) => {
    const guest = await api.guest(t)
    for (const field of fields) {
      const before = await guest.context()
      const url = `${guest.path}/uname/${field}`
      const reply = await daemon.put(url, { value: `${field}-1` })
      if (settable.includes(field)) {
        t.match(reply, { status: 200, body: { field, value: `${field}-1`, changed: true } }, field)
        t.match(await daemon.put(url, { value: `${field}-1` }), { status: 200, body: { changed: false } }, 'again')
      } else {
        isProblem(t, reply, 422, { type: 'unsupported', detail: new RegExp(field) }, field)
        isProblem(t, await daemon.patch(`${guest.path}/uname`, { [field]: 'x' }), 422, { type: 'unsupported' })
        t.same(await guest.context(), before, 'nothing has changed')
        const kept = await daemon.put(`${url}?unsupported=record`, { value: `${field}-1` })
        t.match(kept, { status: 200, body: { value: `${field}-1`, changed: true } }, `${field} is kept when asked to`)
      }
      t.same((await guest.context()).uname, { ...before.uname, [field]: `${field}-1` }, 'no other field has changed')
    }
  })

  test('PATCH sets several fields and says which have changed', async (t) => {
    const guest = await api.guest(t, { name: 'a', uname: { nodename: 'b' } })
    const change = (body: object) => daemon.patch(`${guest.path}/uname`, body)
    const wanted = { context: 'c', nodename: 'b' }
    matches(t, await change(wanted), { status: 200, body: { ...wanted, changed: ['context'] } })
    t.same(((await change(wanted)).body as { changed: string[] }).changed, [])
    t.match(await guest.context(), { name: 'c', uname: wanted })
    isProblem(t, await change({}), 400, {}, 'nothing to set')
  })

  test('a dry run of PATCH says what would change, and changes nothing', async (t) => {
    const guest = await api.guest(t, { name: 'a' })
    const before = await guest.context()
    const reply = await daemon.patch(`${guest.path}/uname?dry_run=true`, {
      context: 'b',
      nodename: before.uname.nodename
    })
    matches(t, reply, { status: 200, body: { changed: ['context'] } })
    t.same(await guest.context(), before)
  })

  for (const field of settable) {
    test(`${field} takes 64 bytes, whatever characters they are, and gives them back`, async (t) => {
      const guest = await api.guest(t)
      for (const value of ['x'.repeat(BYTES), ...multibyte]) {
        t.equal(Buffer.byteLength(value), BYTES)
        t.match(await daemon.put(`${guest.path}/uname/${field}`, { value }), { status: 200, body: { value } })
        t.match(await daemon.get(`${guest.path}/uname/${field}`), { status: 200, body: { value } })
      }
    })

    test(`${field} refuses 65 bytes, 64 characters of more, NUL and broken Unicode with 400`, async (t) => {
      const guest = await api.guest(t, { uname: { [field]: 'before' } })
      const bad = ['x'.repeat(BYTES + 1), 'é'.repeat(BYTES), `${'x'.repeat(BYTES - 1)}é`, 'a\0b', '\0', 'a\ud800b']
      for (const value of bad) {
        const what = JSON.stringify(value)
        isProblem(
          t,
          await daemon.put(`${guest.path}/uname/${field}`, { value }),
          400,
          { type: 'validation' },
          `PUT ${what}`
        )
        isProblem(t, await daemon.patch(`${guest.path}/uname`, { [field]: value }), 400, {}, `PATCH ${what}`)
        const xid = await api.freeXid()
        isProblem(t, await daemon.put(`/contexts/${xid}`, { uname: { [field]: value } }), 400, {}, `creation ${what}`)
        t.notOk(await api.exists(xid))
      }
      t.match(await daemon.get(`${guest.path}/uname/${field}`), { body: { value: 'before' } })
    })
  }

  test('all fields can be given at creation', async (t) => {
    const given = Object.fromEntries(settable.map((field) => [field, `given-${field}`]))
    t.match((await (await api.guest(t, { uname: given })).context()).uname, given)
  })

  test('the name is uname.context: setting one sets the other, and an empty one is no name', async (t) => {
    const guest = await api.guest(t, { name: 'one' })
    await daemon.put(`${guest.path}/uname/context`, { value: 'two' })
    t.match(await guest.context(), { name: 'two', uname: { context: 'two' } })
    await daemon.put(guest.path, { name: 'three' })
    t.match(await guest.context(), { name: 'three', uname: { context: 'three' } })
    await daemon.patch(`${guest.path}/uname`, { context: '' })
    matches(t, await guest.context(), { name: null, uname: { context: '' } })
  })

  if (settable.includes('nodename')) {
    test('a process sees the nodename of its context, and no other context has it', async (t) => {
      const guests = await Promise.all(['one', 'two'].map((nodename) => api.guest(t, { uname: { nodename } })))
      for (const [n, guest] of guests.entries())
        t.equal((await guest.capture(['hostname'])).stdout, n === 0 ? 'one\n' : 'two\n')
    })
  }

  if (api.isEnforced('uname', 'nodename')) {
    test('a nodename that is set while the context runs is seen at once', async (t) => {
      const guest = await api.running(t, { uname: { nodename: 'before' } })
      t.equal((await guest.capture(['hostname'])).stdout, 'before\n')
      await daemon.put(`${guest.path}/uname/nodename`, { value: 'after' })
      t.equal((await guest.capture(['hostname'])).stdout, 'after\n')
    })
  }
}

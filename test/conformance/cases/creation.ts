/** vx_create: POST /contexts without init. */
import { bodyOf, contextOf, init, isProblem, isStateName, sleeper, wordKinds, type Cases } from '../support.js'
import { matches } from '../../support/matches.js'

/** The customary safe set of Linux-VServer's tools. */
const SAFE_BCAPS =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT SYS_PTRACE SYS_BOOT SYS_TTY_CONFIG LEASE AUDIT_WRITE SETFCAP'

export const creation: Cases = (test, api) => {
  const { daemon } = api

  test('a context gets the xid it was asked for, and the answer says where it is', async (t) => {
    const xid = await api.freeXid()
    const reply = await api.create(t, { xid })
    t.match(reply, { status: 201, headers: { location: `/contexts/${xid}`, etag: /^".+"$/ }, body: { xid } })
    const read = await daemon.get(`/contexts/${xid}`)
    t.same(read.body, reply.body, 'the answer is the context')
    t.equal(read.headers.etag, reply.headers.etag)
  })

  test('without an xid a context gets a free one of its own', async (t) => {
    const guests = await Promise.all(Array.from({ length: 10 }, () => api.guest(t)))
    t.equal(new Set(guests.map(({ xid }) => xid)).size, 10, 'ten xids')
    t.ok(guests.every(({ xid }) => xid >= 2 && xid <= 65535))
  })

  test('the lowest xid is 2 and the highest 65535', async (t) => {
    for (const xid of [2, 65535]) t.match(await api.create(t, { xid }), { status: 201, body: { xid } }, `${xid}`)
    for (const xid of [-1, 0, 1, 65536, 70000, 2.5]) {
      isProblem(t, await daemon.post('/contexts', { xid }), 400, { type: 'validation', detail: /xid/ }, `POST ${xid}`)
      isProblem(t, await daemon.put(`/contexts/${xid}`, {}), 400, { type: 'validation', detail: /xid/ }, `PUT ${xid}`)
    }
  })

  test('an xid that is taken is EEXIST, and its context stays as it is', async (t) => {
    const guest = await api.guest(t, { name: 'first' })
    const before = await guest.context()
    isProblem(t, await daemon.post('/contexts', { xid: guest.xid, name: 'second' }), 409, { errno: 'EEXIST' })
    t.same(await guest.context(), before)
  })

  test('of 100 simultaneous creations of one xid one is 201 and 99 are EEXIST, and one init runs', async (t) => {
    const xid = await api.freeXid()
    const body = { xid, ...init(...sleeper) }
    const replies = await Promise.all([
      api.create(t, body),
      ...Array.from({ length: 99 }, () => daemon.post('/contexts', body))
    ])
    t.equal(replies.filter(({ status }) => status === 201).length, 1)
    const refused = replies.filter(({ status }) => status !== 201)
    t.equal(refused.length, 99)
    t.ok(refused.every(({ status, body }) => status === 409 && (body as { errno: string }).errno === 'EEXIST'))
    const listed = bodyOf<{ processes: unknown[] }>(await daemon.get(`/contexts/${xid}/processes`))
    t.equal(listed.processes.length, 1)
  })

  test('a body that says nothing makes a safe, empty, persistent context', async (t) => {
    const began = Date.now()
    const context = await (await api.guest(t)).context()
    matches(t, context, { name: null, state: 'setup', initpid: 0, root: null, owner: process.getuid?.() })
    t.same(context.flags.names, ['STATE_SETUP', 'STATE_INIT', 'STATE_ADMIN', 'PERSISTENT'])
    const known = api.vocabulary.bcaps.map(({ name }) => name)
    const safe = SAFE_BCAPS.split(' ').filter((name) => known.includes(name))
    t.same(
      context.bcaps.names,
      known.filter((name) => safe.includes(name)),
      'the customary set, in bit order'
    )
    t.equal(context.bcaps.unknown, '0x0000000000000000')
    t.equal(context.ccaps.value, '0x0000000000000000')
    t.equal(context.uname.context, '')
    const age = Date.parse(context.created_at) - began
    t.ok(age > -2000 && age < 60_000, `created now: ${context.created_at}`)
  })

  test('flags that are given without PERSISTENT need an init: 422, and nothing is made', async (t) => {
    const xid = await api.freeXid()
    for (const flags of [[], '0x0', ['REBOOT_KILL']]) {
      const reply = await api.create(t, { xid, flags }, '?unsupported=record')
      isProblem(t, reply, 422, { type: 'not-persistent' }, JSON.stringify(flags))
      t.notOk(await api.exists(xid))
    }
  })

  test('the STATE_* bits are not for the caller to set: 400, and nothing is made', async (t) => {
    const xid = await api.freeXid()
    for (const name of ['STATE_SETUP', 'STATE_INIT', 'STATE_ADMIN']) {
      isProblem(t, await api.create(t, { xid, flags: ['PERSISTENT', name] }), 400, {
        detail: /flags/
      })
      t.notOk(await api.exists(xid), name)
    }
  })

  test('names are taken with and without prefix in any case, and words as numbers', async (t) => {
    const guest = await api.guest(t, { flags: ['vxf_Persistent'], bcaps: ['cap_kill', 'CAP_CHOWN', 'Setuid'] })
    const { flags, bcaps } = await guest.context()
    t.ok(flags.names.includes('PERSISTENT'))
    t.same(bcaps.names, ['CHOWN', 'KILL', 'SETUID'], 'in bit order')
    const numbers = await api.guest(t, { flags: '0x4000000000', bcaps: '0xA1' })
    t.same((await numbers.context()).bcaps.value, '0x00000000000000a1')
    t.ok((await numbers.context()).flags.names.includes('PERSISTENT'))
  })

  test('a name that does not exist is 400, and nothing is made', async (t) => {
    const xid = await api.freeXid()
    for (const kind of wordKinds) {
      const reply = await api.create(t, { xid, [kind]: ['PERSISTENT', 'NO_SUCH_NAME'] })
      isProblem(t, reply, 400, { type: 'validation' }, kind)
      t.notOk(await api.exists(xid))
    }
  })

  for (const kind of wordKinds) {
    test(`${kind} that /vocabulary calls unsupported are 422 and make nothing, all others are taken`, async (t) => {
      const xid = await api.freeXid()
      for (const { name, treatment } of api.vocabulary[kind].filter(({ name }) => !isStateName(name))) {
        const names = kind === 'flags' ? [...new Set(['PERSISTENT', name])] : [name]
        const reply = await api.create(t, { xid, [kind]: names })
        if (treatment === 'unsupported') {
          isProblem(t, reply, 422, { type: 'unsupported', detail: new RegExp(`\\b${name}\\b`) }, `${name} is refused`)
          t.notOk(await api.exists(xid))
          const kept = await api.create(t, { xid, [kind]: names }, '?unsupported=record')
          t.ok(contextOf(kept)[kind].names.includes(name), `${name} is kept when asked to`)
        } else if (name === 'SC_HELPER' && reply.status === 422) {
          // Of a Linux-VServer kernel that could run none, or whose helper fails.
          isProblem(t, reply, 422, { errno: 'ENOEXEC', detail: /kernel\.vshelper/ }, 'SC_HELPER needs a helper')
          t.notOk(await api.exists(xid))
          continue
        } else {
          t.ok(contextOf(reply)[kind].names.includes(name), `${name} is taken`)
        }
        t.equal((await daemon.delete(`/contexts/${xid}?grace=0`)).status, 204)
      }
    })
  }

  test('name and uname.context are the same label; two different ones are 400', async (t) => {
    t.match(await (await api.guest(t, { name: 'web' })).context(), { name: 'web', uname: { context: 'web' } })
    t.match(await (await api.guest(t, { uname: { context: 'db' } })).context(), {
      name: 'db',
      uname: { context: 'db' }
    })
    const xid = await api.freeXid()
    const reply = await api.create(t, { xid, name: 'a', uname: { context: 'b' } })
    isProblem(t, reply, 400, { type: 'validation', detail: /name/ })
    t.notOk(await api.exists(xid))
  })

  test('a root that is not there is an error of the call that looked, and nothing is made', async (t) => {
    const xid = await api.freeXid()
    const roots: [root: string, errno: string][] = [
      ['/no/such/directory', 'ENOENT'],
      ['/etc/passwd', 'ENOTDIR'],
      ['/proc/self/cwd', 'ELOOP']
    ]
    for (const [root, errno] of roots) {
      isProblem(t, await api.create(t, { xid, root }), 422, { errno }, root)
      t.notOk(await api.exists(xid))
    }
    isProblem(t, await api.create(t, { xid, root: 'tmp' }), 400, { detail: /root/ }, 'not absolute')
  })

  test('an xid can be used again as soon as its context is gone', async (t) => {
    const xid = await api.freeXid()
    for (let round = 0; round < 10; round++) {
      t.equal((await api.create(t, { xid })).status, 201)
      t.equal((await daemon.delete(`/contexts/${xid}`)).status, 204)
    }
  })
}

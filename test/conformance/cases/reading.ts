/** The reads: list, info, stat, and what every call says of a context that is not there. */
import { until } from '../../support/poll.js'
import type { Context, ContextList } from '../../../daemon/schemas/context.js'
import type { Static } from 'typebox'
import { bodyOf, contextOf, isProblem, sleeper, wordKinds, type Cases } from '../support.js'

type Page = Static<typeof ContextList>

const nothing = () => undefined

export const reading: Cases = (test, api) => {
  const { daemon } = api
  const list = async (query: string) => bodyOf<Page>(await daemon.get(`/contexts${query}`))

  test('the list shows every context whole, in ascending order', async (t) => {
    const guests = await Promise.all([api.guest(t), api.running(t), api.guest(t, { name: 'listed' })])
    const { contexts, next } = await list('')
    t.equal(next, null)
    const xids = contexts.map(({ xid }) => xid)
    t.same(
      xids,
      xids.toSorted((a, b) => a - b)
    )
    for (const guest of guests)
      t.same(
        contexts.find(({ xid }) => xid === guest.xid),
        await guest.context()
      )
  })

  test('?name= lists the contexts with exactly this name', async (t) => {
    const guests = await Promise.all([0, 1].map(() => api.guest(t, { name: 'the same' })))
    await api.guest(t, { name: 'the same but longer' })
    const named = async (name: string) =>
      (await list(`?name=${encodeURIComponent(name)}`)).contexts.map(({ xid }) => xid)
    t.same(
      await named('the same'),
      guests.map(({ xid }) => xid).toSorted((a, b) => a - b)
    )
    t.same(await named('The same'), [])
    t.same(await named('nobody'), [])
  })

  test('?limit= and ?after= page through the list, and next leads on until it is null', async (t) => {
    const guests = await Promise.all(Array.from({ length: 5 }, () => api.guest(t, { name: 'paged' })))
    const wanted = guests.map(({ xid }) => xid).toSorted((a, b) => a - b)
    const seen: number[][] = []
    for (let after: number | null = 0; after !== null && seen.length < 10;) {
      const page: Page = await list(`?name=paged&limit=2&after=${after}`)
      seen.push(page.contexts.map(({ xid }: Context) => xid))
      after = page.next
    }
    t.same(seen, [wanted.slice(0, 2), wanted.slice(2, 4), wanted.slice(4)])
    t.equal((await list('?name=paged&limit=5')).next, null, 'a page that is just full is the last')
    t.same(await list('?after=65535'), { contexts: [], next: null })
    for (const query of ['?limit=0', '?limit=1001', '?after=-1', '?limit=x', '?page=2'])
      isProblem(t, await daemon.get(`/contexts${query}`), 400, { type: 'validation' }, query)
  })

  test('a list longer than what is written at a time comes whole, its length in bytes', async (t) => {
    const count = 60
    await Promise.all(Array.from({ length: count }, (_, i) => api.guest(t, { name: `län’ge-${i}` })))
    const reply = await daemon.get('/contexts')
    const { contexts } = bodyOf<Page>(reply)
    t.equal(contexts.filter(({ name }) => name?.startsWith('län’ge-')).length, count)
    t.equal(Number(reply.headers['content-length']), Buffer.byteLength(reply.text))
    t.ok(Buffer.byteLength(reply.text) > 40_000)
  })

  test('a list has every context that lives from its beginning to its end, once, while others come and go', async (t) => {
    const name = 'steady'
    const steady = await Promise.all(Array.from({ length: 20 }, () => api.guest(t, { name })))
    const wanted = steady.map(({ xid }) => xid).toSorted((a, b) => a - b)
    let isOver = false
    const comeAndGo = async () => {
      while (!isOver) {
        const { xid } = contextOf(await daemon.post('/contexts', {}))
        await daemon.delete(`/contexts/${xid}?grace=0`)
      }
    }
    const others = Promise.all([0, 1, 2].map(comeAndGo))
    for (let round = 0; round < 50; round++) {
      const { contexts } = await list('')
      const xids = contexts.map(({ xid }) => xid)
      const seen = xids.filter((xid) => wanted.includes(xid))
      if (seen.join() !== wanted.join() || new Set(xids).size !== xids.length)
        t.fail(`${xids.join()} in round ${round}`)
    }
    isOver = true
    await others
  })

  test('info is the xid and the initpid, 0 where there is no init', async (t) => {
    const guest = await api.guest(t)
    t.same((await daemon.get(`${guest.path}/info`)).body, { xid: guest.xid, initpid: 0 })
    const { initpid } = await (await api.running(t)).context()
    t.ok(initpid > 0)
  })

  test('stat has every field, null exactly where /vocabulary calls it unsupported', async (t) => {
    for (const guest of [await api.guest(t), await api.running(t)]) {
      const stat = bodyOf<Record<string, unknown>>(await daemon.get(`${guest.path}/stat`))
      const fields = api.vocabulary.stat.map(({ name }) => name)
      t.same(Object.keys(stat).toSorted(), [...fields, 'offset_ns', 'uptime_ns'].toSorted())
      for (const field of fields) t.equal(stat[field] === null, !api.isSupported('stat', field), field)
      for (const field of fields.filter((name) => stat[name] !== null && !['load', 'offset'].includes(name)))
        t.ok(Number(stat[field]) >= 0, `${field} is a count`)
      if (stat.load !== null) t.ok(Array.isArray(stat.load) && stat.load.length === 3, 'three load averages')
      t.match(stat.uptime_ns, /^\d+$/)
      t.match(stat.offset_ns, /^-?\d+$/)
    }
  })

  if (api.isSupported('stat', 'uptime')) {
    test('uptime grows, in seconds and in exact nanoseconds', async (t) => {
      const guest = await api.guest(t)
      const { uptime, uptime_ns } = await api.stat(guest)
      t.ok(uptime < 60)
      t.equal(Math.floor(Number(BigInt(uptime_ns) / 1_000_000n)), Math.round(uptime * 1000))
      await until('it grows', async () => {
        const later = await api.stat(guest)
        return later.uptime > uptime && BigInt(later.uptime_ns) > BigInt(uptime_ns)
      })
    })
  }

  test('tasks rises by one with a process and falls with its end', async (t) => {
    const guest = await api.guest(t)
    const before = await api.stat(guest)
    await guest.start(sleeper)
    const during = await api.stat(guest)
    t.equal(during.tasks, before.tasks + 1)
    await guest.start(sleeper)
    t.equal((await api.stat(guest)).tasks, before.tasks + 2)
    await guest.kill('SIGKILL')
    await until('they are gone', async () => (await api.stat(guest)).tasks === before.tasks)
  })

  test('a persistent context counts as one task more', async (t) => {
    const guest = await api.running(t, { flags: ['PERSISTENT'] })
    const { tasks } = await api.stat(guest)
    await daemon.patch(`${guest.path}/flags`, { clear: ['PERSISTENT'] })
    t.equal((await api.stat(guest)).tasks, tasks - 1)
  })

  test('usecnt is higher while somebody waits, and falls when the last client has hung up', async (t) => {
    const guest = await api.guest(t)
    const { usecnt } = await api.stat(guest)
    const requests = [0, 1].map(() => daemon.open('POST', `${guest.path}/wait`, undefined, {}, nothing, nothing))
    await until('they wait', async () => (await api.stat(guest)).usecnt > usecnt)
    requests[0]?.destroy()
    await api.settled()
    t.ok((await api.stat(guest)).usecnt > usecnt, 'one still waits')
    requests[1]?.destroy()
    await until('nobody waits', async () => (await api.stat(guest)).usecnt === usecnt)
  })

  test('every call on a context that is not there is ESRCH', async (t) => {
    const xid = await api.freeXid()
    const requests: [method: string, path: string, body?: object][] = [
      ...['', '/info', '/stat', '/uname', '/uname/nodename', '/processes'].map((path): [string, string] => [
        'GET',
        path
      ]),
      ...wordKinds.flatMap((kind): [string, string, object?][] => [
        ['GET', `/${kind}`],
        ['PUT', `/${kind}`, { names: [] }],
        ['PATCH', `/${kind}`, { set: [] }]
      ]),
      ['PATCH', '/uname', { context: 'x' }],
      ['PUT', '/uname/context', { value: 'x' }],
      ['POST', '/processes', { argv: ['true'] }],
      ['POST', '/kill', { signal: 'SIGTERM' }],
      ['POST', '/wait'],
      ['DELETE', '']
    ]
    for (const [method, path, body] of requests) {
      const reply = await daemon.request(method, `/contexts/${xid}${path}`, body)
      isProblem(t, reply, 404, { errno: 'ESRCH' }, `${method} ${path}`)
      t.match(reply.body, { xid })
    }
  })

  test('an ETag changes with the content, and only with it', async (t) => {
    const guest = await api.guest(t)
    const tags = [await api.etag(guest)]
    const changes: [path: string, body: object][] = [
      ['/uname', { context: 'tagged' }],
      ['/bcaps', { clear: ['CHOWN'] }],
      ['/flags', { clear: ['STATE_SETUP'] }]
    ]
    for (const [path, body] of changes) {
      t.equal((await daemon.patch(guest.path + path, body)).status, 200)
      tags.push(await api.etag(guest))
      t.equal(await api.etag(guest), tags.at(-1), 'the same content has the same tag')
    }
    const pid = await guest.start(sleeper, { flags: ['SET_INIT'] })
    t.equal(await api.initpid(guest), pid)
    tags.push(await api.etag(guest))
    t.equal(new Set(tags).size, 5, 'five contents, five tags')
    await daemon.patch(`${guest.path}/bcaps`, { set: ['CHOWN'] })
    await daemon.patch(`${guest.path}/bcaps`, { clear: ['CHOWN'] })
    t.equal(await api.etag(guest), tags.at(-1), 'there and back')
  })
}

/** What a write warns of: it is done as asked, and hardly ever meant. */
import t from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'

let daemon: TestDaemon
t.before(async () => {
  daemon = await TestDaemon.start('memory')
})
t.teardown(() => daemon.cleanUp())

const clearAdmin = (xid: number, query: string) =>
  daemon.patch(`/contexts/${xid}/flags${query}`, { clear: ['STATE_ADMIN'] })

void t.test('clearing STATE_ADMIN of a persistent context warns that nothing can remove it', async (t) => {
  await daemon.post('/contexts', { xid: 100 })
  const refused = await clearAdmin(100, '')
  t.match(refused, { status: 409, body: { type: 'irreversible', detail: /cannot be removed until the host restarts/ } })
  const warning = /PERSISTENT without STATE_ADMIN: the context cannot be removed/
  for (const query of ['?irreversible=true&dry_run=true', '?irreversible=true'])
    matches(t, await clearAdmin(100, query), { status: 200, body: { changed: true, warnings: [warning] } }, query)
  const again = await clearAdmin(100, '?irreversible=true')
  t.same([again.status, 'warnings' in (again.body as object)], [200, false], 'nothing has changed')
})

void t.test('a context that ends with its init is not warned about', async (t) => {
  await daemon.post('/contexts', { xid: 101, init: { argv: ['sleep', '1000'] } })
  const refused = await clearAdmin(101, '')
  t.notMatch(refused.body, { detail: /until the host restarts/ })
  const done = await clearAdmin(101, '?irreversible=true')
  t.match(done, { status: 200, body: { changed: true } })
  t.notOk('warnings' in (done.body as object))
})

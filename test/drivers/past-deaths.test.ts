import t from 'tap'
import { PastDeaths, type Places } from '../../daemon/drivers/past-deaths.js'
import { matches } from '../support/matches.js'

function placesOf(texts: Map<number, string>): Places {
  return {
    read: (place) => texts.get(place),
    write: (place, text) => {
      texts.set(place, text)
    }
  }
}
const death = (xid: number) => ({
  xid,
  result: { reboot_cmd: 0, exit_code: 9, oom_killed: false },
  owner: 1000,
  incarnation: 2n ** 60n + BigInt(xid)
})

void t.test('the next one has all of it, in order, once', async (t) => {
  const places = placesOf(new Map())
  const deaths = new PastDeaths(places)
  t.same(deaths.take(), [])
  const before = Date.now()
  for (const xid of [7, 3, 5]) deaths.note(death(xid))
  const next = new PastDeaths(places)
  const past = next.take()
  matches(t, past, [death(7), death(3), death(5)])
  for (const { at } of past) t.ok(at >= before && at <= Date.now())
  t.same(next.take(), [])
  next.note(death(9))
  t.same(
    new PastDeaths(places).take().map(({ xid }) => xid),
    [7, 3, 5, 9]
  )
})

void t.test('the last 4,096 are kept, and one that was cut off is left out', async (t) => {
  const texts = new Map<number, string>()
  const deaths = new PastDeaths(placesOf(texts))
  for (let xid = 1; xid <= 5000; xid++) deaths.note(death(xid))
  t.equal(texts.size, 4096)
  texts.set(2, (texts.get(2) ?? '').slice(0, 20))
  const past = new PastDeaths(placesOf(texts)).take()
  t.equal(past.length, 4095)
  t.equal(past[0]?.xid, 905)
  t.equal(past.at(-1)?.xid, 5000)
})

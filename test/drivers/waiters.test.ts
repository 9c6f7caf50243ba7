import t from 'tap'
import { Waiters } from '../../daemon/drivers/waiters.js'

const result = { reboot_cmd: 0, exit_code: 9, oom_killed: false }
const never = new AbortController().signal

void t.test('every waiter gets the result', async (t) => {
  const waiters = new Waiters()
  const all = [1, 2, 3].map(() => waiters.wait(never))
  t.equal(waiters.size, 3)
  waiters.finish(result)
  t.same(await Promise.all(all), [result, result, result])
  t.equal(waiters.size, 0)
})

void t.test('one that leaves gets EINTR and the others go on', async (t) => {
  const waiters = new Waiters()
  const leaving = new AbortController()
  const left = waiters.wait(leaving.signal)
  const stays = waiters.wait(never)
  leaving.abort()
  await t.rejects(left, { name: 'CallError', code: 'EINTR', call: 'vx_wait' })
  t.equal(waiters.size, 1)
  waiters.finish(result)
  t.same(await stays, result)
})

void t.test('one that has left before it came does not count', async (t) => {
  const waiters = new Waiters()
  await t.rejects(waiters.wait(AbortSignal.abort()), { code: 'EINTR' })
  t.equal(waiters.size, 0)
})

void t.test('leaving after the end changes nothing', async (t) => {
  const waiters = new Waiters()
  const late = new AbortController()
  const waiting = waiters.wait(late.signal)
  waiters.finish(result)
  late.abort()
  t.same(await waiting, result)
})

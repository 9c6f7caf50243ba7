/** SIGHUP: every part is reloaded, one run at a time, whatever another part does. */
import t from 'tap'
import { Reloads } from '../../daemon/service/reload.js'
import { TestDaemon } from '../support/daemon.js'
import { matches } from '../support/matches.js'
import { until } from '../support/poll.js'

class Log {
  readonly lines: [string, object, string][] = []
  info = (about: object, text: string) => void this.lines.push(['info', about, text])
  error = (about: object, text: string) => void this.lines.push(['error', about, text])
}

const reloadsInto = (log: Log) => new Reloads(log as unknown as ConstructorParameters<typeof Reloads>[0])

void t.test('parts are reloaded in order, and one that fails is named and stops no other', async (t) => {
  const log = new Log()
  const reloads = reloadsInto(log)
  const done: string[] = []
  reloads.add('first', () => void done.push('first'))
  reloads.add('thrower', () => {
    throw new Error('no such file')
  })
  reloads.add('rejecter', async () => {
    await Promise.reject(new Error('no such key'))
  })
  reloads.add('last', async () => {
    await Promise.resolve()
    done.push('last')
  })
  await reloads.run()
  t.same(done, ['first', 'last'])
  matches(t, log.lines, [
    ['error', { err: /no such file/, part: 'thrower' }, /thrower/],
    ['error', { err: /no such key/, part: 'rejecter' }, /rejecter/],
    ['info', { parts: ['first', 'thrower', 'rejecter', 'last'], failed: ['thrower', 'rejecter'] }, 'reloaded']
  ])
})

void t.test('what is asked during a run is one more run after it, never one beside it', async (t) => {
  const reloads = reloadsInto(new Log())
  let [running, most, runs] = [0, 0, 0]
  let finish: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  reloads.add('slow', async () => {
    runs++
    most = Math.max(most, ++running)
    await held
    running--
  })
  const asked = [reloads.run(), reloads.run(), reloads.run()]
  finish()
  await Promise.all(asked)
  t.same([runs, most], [2, 1])
  await reloads.run()
  t.equal(runs, 3)
})

void t.test('a daemon that gets SIGHUP goes on serving', async (t) => {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  process.kill(daemon.pid, 'SIGHUP')
  await until('it says that it has reloaded', () => daemon.stderr.includes('reloaded'))
  t.equal((await daemon.get('/health')).status, 200)
})

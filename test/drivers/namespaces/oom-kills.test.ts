/** What is told of kills for lack of memory, by counters that look like those of cgroups. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { OomKills } from '../../../daemon/drivers/namespaces/oom-kills.js'
import { until } from '../../support/poll.js'

const counters = (kills: number) => `low 0\nhigh 12\nmax 7\noom ${kills}\noom_kill ${kills}\noom_group_kill 0\n`

function directory(t: { teardown: (work: () => void) => void }) {
  const path = mkdtempSync(join(tmpdir(), 'contextd-oom-'))
  t.teardown(() => {
    rmSync(path, { recursive: true })
  })
  const contexts = ['5', '6'].map((name) => ({ name, path: join(path, name) }))
  for (const context of contexts) mkdirSync(context.path)
  return { path, contexts }
}

void t.test('each context is told of once for each change, by one watch', async (t) => {
  const { path, contexts } = directory(t)
  const write = (of: string, kills: number) => {
    writeFileSync(join(of, 'memory.events'), counters(kills))
  }
  const [five, six] = contexts as [(typeof contexts)[0], (typeof contexts)[0]]
  for (const [of, kills] of [
    [path, 2],
    [five.path, 2],
    [six.path, 0]
  ] as const)
    write(of, kills)
  const told: [string, number][] = []
  const oom = new OomKills(
    path,
    () => contexts,
    ({ name }, kills) => told.push([name, kills]),
    (error) => t.error(error)
  )
  t.teardown(() => {
    oom.close()
  })
  for (const context of contexts) oom.adopt(context)
  write(six.path, 1)
  write(path, 3)
  await until('it is told of', () => told.length > 0)
  t.strictSame(told, [['6', 1]], 'what was there before is not told again')
  write(five.path, 4)
  write(path, 5)
  await until('it is told of', () => told.length > 1)
  t.strictSame(told, [
    ['6', 1],
    ['5', 4]
  ])
  oom.look()
  for (const context of contexts) oom.lookAt(context)
  t.equal(told.length, 2)
})

void t.test('without a memory controller nothing is watched, and nothing told', async (t) => {
  const { path, contexts } = directory(t)
  const oom = new OomKills(
    path,
    () => contexts,
    () => t.fail('told of'),
    (error) => t.error(error)
  )
  for (const context of contexts) oom.adopt(context)
  for (const context of contexts) writeFileSync(join(context.path, 'memory.events'), counters(3))
  oom.look()
  for (const context of contexts) oom.lookAt(context)
  oom.close()
  t.pass('quiet')
})

/** What becomes of the socket's file while its daemon lives, and of a start that is refused. */
import { existsSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { contextd } from '../support/command.js'
import { TestDaemon } from '../support/daemon.js'
import { folder } from '../support/folder.js'
import { expect, Guest } from '../support/guest.js'
import { until } from '../support/poll.js'

async function started(t: Test): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory')
  t.teardown(() => daemon.cleanUp())
  return daemon
}

/** Over a connection of its own, for what is connected already stays so. */
const isServed = (socketPath: string) =>
  new Promise<boolean>((resolve) => {
    request({ socketPath, path: '/health', agent: false }, ({ statusCode }) => {
      resolve(statusCode === 200)
    })
      .on('error', () => {
        resolve(false)
      })
      .end()
  })

void t.test('a socket that is removed is made again, and what is connected goes on', async (t) => {
  const daemon = await started(t)
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  const wait = daemon.post('/contexts/100/wait')
  for (let turn = 0; turn < 2; turn++) {
    unlinkSync(daemon.socket)
    await until('it is there again', () => isServed(daemon.socket))
    t.equal((statSync(daemon.socket).mode & 0o777).toString(8), '660')
  }
  await until('it has said so each time', () => daemon.stderr.split('it is made again').length === 3)
  expect(204, await daemon.delete('/contexts/100?grace=0'))
  expect(200, await wait)
  const other = await contextd(['serve', '--driver', 'memory', '--socket', daemon.socket, '--audit-log', '/dev/null'])
  t.match(other, { code: 1, stderr: /another contextd serves/ })
  t.equal(await daemon.stop(), 0)
  t.notOk(existsSync(daemon.socket), 'its end takes it along')
})

void t.test('a stop that takes longer than a look for the file ends all the same, and takes it along', async (t) => {
  const daemon = await started(t)
  expect(201, await daemon.post('/contexts', { xid: 100, init: { argv: ['sleep', '1000'] } }))
  // A signal that ends nobody, and a grace of three looks.
  const deletion = daemon.delete('/contexts/100?signal=SIGCONT&grace=3')
  await until('it is under way', async () => (await new Guest(daemon, 100).context()).state === 'stopping')
  const stopped = await Promise.race([daemon.stop(), sleep(60_000, 'it hangs', { ref: false })])
  t.equal(stopped, 0)
  t.equal((await deletion).status, 204, 'what was under way is answered')
  t.notOk(existsSync(daemon.socket))
})

void t.test('so is its directory', async (t) => {
  const daemon = await started(t)
  rmSync(dirname(daemon.socket), { recursive: true })
  await until('it is there again', () => isServed(daemon.socket))
  const other = await contextd(['serve', '--driver', 'memory', '--socket', daemon.socket, '--audit-log', '/dev/null'])
  t.match(other, { code: 1, stderr: /another contextd serves/ })
})

void t.test('what somebody else has put in its place stays, and is told of when it goes', async (t) => {
  const daemon = await started(t)
  unlinkSync(daemon.socket)
  writeFileSync(daemon.socket, 'a file')
  t.notOk(await isServed(daemon.socket))
  unlinkSync(daemon.socket)
  await until('it is there again', () => isServed(daemon.socket))
})

void t.test('a start that is refused leaves no lock', async (t) => {
  const directory = folder(t)
  const path = join(directory, 'contextd.sock')
  writeFileSync(path, 'a file')
  const { code, stderr } = await contextd([
    'serve',
    '--driver',
    'memory',
    '--socket',
    path,
    '--audit-log',
    join(directory, 'audit.log')
  ])
  t.equal(code, 1)
  t.match(stderr, /is not a socket/)
  t.same(readdirSync(directory), ['contextd.sock'])
})

/** Clients that mean harm: every other one is served meanwhile, and what they took comes back. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { TestDaemon } from '../support/daemon.js'
import { expect } from '../support/guest.js'
import { until } from '../support/poll.js'
import { descriptorsOf, statusField } from '../support/proc.js'

const MIB = 1024 * 1024
/** What V8 may keep for later. */
const SLACK_MIB = 48

const rssMiB = ({ pid }: TestDaemon) => Number.parseInt(statusField(pid, 'VmRSS') ?? '', 10) / 1024

/** A daemon that has done its warming up. */
async function started(t: Test, args: string[] = []): Promise<TestDaemon> {
  const daemon = await TestDaemon.start('memory', { args })
  t.teardown(() => daemon.cleanUp())
  expect(201, await daemon.post('/contexts', { xid: 100 }))
  for (let count = 0; count < 1000; count++) expect(200, await daemon.get('/contexts/100'))
  return daemon
}

async function open(t: Test, { socket }: TestDaemon): Promise<Socket> {
  const client = connect(socket)
  client.on('error', () => undefined) // EPIPE and ECONNRESET are what they are for
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  return client
}

/** Served, and with no more memory and descriptors than before, once the abuse is over. */
async function isAsBefore(t: Test, daemon: TestDaemon, before: { rss: number; descriptors: number }): Promise<void> {
  expect(200, await daemon.get('/contexts/100'))
  await until('its descriptors are closed', () => descriptorsOf(daemon.pid).length <= before.descriptors + 2)
  // V8 gives memory back when it collects, which takes requests.
  await until(
    'its memory comes back',
    async () => {
      expect(200, await daemon.get('/contexts'))
      return rssMiB(daemon) < before.rss + SLACK_MIB
    },
    60_000
  )
  t.pass(`${Math.round(before.rss)} MiB before, ${Math.round(rssMiB(daemon))} MiB after`)
}

const stateOf = (daemon: TestDaemon) => ({ rss: rssMiB(daemon), descriptors: descriptorsOf(daemon.pid).length })

void t.test('2,000 idle connections', async (t) => {
  const daemon = await started(t, ['--header-timeout', '5'])
  const before = stateOf(daemon)
  const idle: Socket[] = []
  for (let count = 0; count < 2000; count++) idle.push((await open(t, daemon)).resume())
  expect(200, await daemon.get('/contexts/100'))
  await until('all of them are closed', () => idle.every((socket) => socket.destroyed || socket.readableEnded), 60_000)
  for (const socket of idle) socket.destroy()
  await isAsBefore(t, daemon, before)
})

void t.test('a body of 1 GB, announced and not', async (t) => {
  const daemon = await started(t)
  const before = stateOf(daemon)
  const part = Buffer.alloc(MIB, ' ')
  const heads = {
    announced: `content-length: ${1024 * MIB}`,
    chunked: 'transfer-encoding: chunked'
  }
  for (const [kind, head] of Object.entries(heads)) {
    const client = await open(t, daemon)
    let answer = ''
    client.setEncoding('utf8').on('data', (text: string) => (answer += text))
    client.write(`POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${head}\r\n\r\n`)
    let sent = 0
    for (; sent < 1024 && !client.destroyed && !client.readableEnded; sent++) {
      if (kind === 'chunked') client.write(`${MIB.toString(16)}\r\n`)
      const isTaken = client.write(part)
      if (kind === 'chunked') client.write('\r\n')
      if (!isTaken)
        await new Promise((resolve) => {
          for (const event of ['drain', 'close']) client.once(event, resolve)
        })
      expect(200, await daemon.get('/contexts/100'))
    }
    await until('it is answered', () => answer !== '' || client.destroyed)
    t.match(answer, /^(HTTP\/1\.1 413 .*|)$/s, kind)
    t.ok(sent < 1024, `${kind}: it was not read`)
  }
  await isAsBefore(t, daemon, before)
})

void t.test('10,000 requests of random bytes', async (t) => {
  const daemon = await started(t)
  const before = stateOf(daemon)
  const answers = new Map<string, number>()
  const attack = async () => {
    for (let count = 0; count < 500; count++) {
      const client = await open(t, daemon)
      let answer = ''
      client.setEncoding('utf8').on('data', (text: string) => (answer += text))
      client.end(Buffer.concat([randomBytes(1 + (count % 400)), Buffer.from('\r\n\r\n')]))
      if (!client.destroyed) await once(client, 'close')
      const status = answer.slice(9, 12)
      answers.set(status, (answers.get(status) ?? 0) + 1)
    }
  }
  await Promise.all([
    ...Array.from({ length: 20 }, attack),
    (async () => {
      for (let count = 0; count < 200; count++) expect(200, await daemon.get('/contexts/100'))
    })()
  ])
  t.equal(
    [...answers.values()].reduce((sum, count) => sum + count, 0),
    10_000
  )
  t.same(
    [...answers.keys()].filter((status) => !['', '400'].includes(status)),
    [],
    'nothing but bad requests'
  )
  t.ok((answers.get('400') ?? 0) > 9000, 'and nearly each is told')
  await isAsBefore(t, daemon, before)
})

void t.test('500 clients that send their requests byte by byte', async (t) => {
  const daemon = await started(t, ['--header-timeout', '3'])
  const before = stateOf(daemon)
  const clients: Socket[] = []
  for (let count = 0; count < 500; count++) {
    const client = await open(t, daemon)
    client.write('GET /contexts/100 HTTP/1.1\r\nx: ')
    client.resume()
    clients.push(client)
  }
  const drip = setInterval(() => {
    for (const client of clients) if (client.writable) client.write('a')
  }, 100)
  t.teardown(() => {
    clearInterval(drip)
  })
  expect(200, await daemon.get('/contexts/100'))
  await until(
    'all of them are cut off',
    () => clients.every(({ destroyed, readableEnded }) => destroyed || readableEnded),
    60_000
  )
  await isAsBefore(t, daemon, before)
})

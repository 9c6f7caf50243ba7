/** Clients by the hundred, harmful ones among them: a process of its own, told by its arguments what to be. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

const MIB = 1024 * 1024
const [kind = '', path = ''] = process.argv.slice(2)

process.on('disconnect', () => process.exit())

const open = (first: string | Buffer = ''): Socket => {
  const socket = connect(path)
  socket.on('error', () => undefined).resume()
  if (first.length > 0) socket.write(first)
  return socket
}
const again = (make: () => Socket) => make().once('close', () => setTimeout(again, 10, make))
const many = (count: number, make: () => Socket) => {
  for (let opened = 0; opened < count; opened++) again(make)
}

const post =
  'POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
const chunk = Buffer.concat([Buffer.from(`${MIB.toString(16)}\r\n`), Buffer.alloc(MIB, ' '), Buffer.from('\r\n')])

const kinds: Record<string, () => void> = {
  /** 500 heads that never end. */
  slow() {
    many(500, () => {
      const socket = open('GET /health HTTP/1.1\r\nx: ')
      const drip = setInterval(() => socket.write('a'), 100)
      return socket.once('close', () => {
        clearInterval(drip)
      })
    })
  },
  idle() {
    many(2000, open)
  },
  /** 1 GB, again and again. */
  body() {
    many(1, () => {
      const socket = open(post)
      let sent = 0
      const send = () => {
        while (sent++ < 1024 && socket.writable) if (!socket.write(chunk)) return
      }
      socket.on('drain', send)
      send()
      return socket
    })
  },
  /** 10,000 of them, 20 at a time, then it ends. */
  random() {
    let left = 10_000
    const next = () => {
      if (left-- > 0)
        open()
          .end(Buffer.concat([randomBytes(1 + (left % 400)), Buffer.from('\r\n\r\n')]))
          .once('close', next)
      else if (left === -20) process.exit()
    }
    for (let together = 0; together < 20; together++) next()
  },
  readers() {
    let connected = 0
    for (let count = 0; count < 500; count++)
      open('GET /events HTTP/1.1\r\nhost: x\r\n\r\n').once('data', () => {
        if (++connected === 500) process.send?.('ready')
      })
  }
}

kinds[kind]?.()
if (kind !== 'readers') process.send?.('ready')

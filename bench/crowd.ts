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
  /** 100 at once, each 1 MiB of NUL and 1 MiB of 0xff; then it ends, with 1 when one was not answered whole. */
  captures() {
    const script = `head -c ${MIB} /dev/zero; head -c ${MIB} /dev/zero | tr '\\0' '\\377' >&2`
    const body = JSON.stringify({ argv: ['/bin/sh', '-c', script], capture: true })
    const head = `POST /contexts/1000/processes HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    const least = MIB * ('\\u0000'.length + Buffer.byteLength('\ufffd'))
    let left = 100
    for (let count = left; count > 0; count--) {
      let bytes = 0
      open(head + body)
        .on('data', (part) => (bytes += part.length))
        .once('close', () => {
          if (bytes < least) process.exit(1)
          if (--left === 0) process.exit()
        })
    }
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

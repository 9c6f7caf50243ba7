/** Logs of guests, as a test reads them. */
import { readdirSync, readFileSync } from 'node:fs'
import { get as httpGet, type ClientRequest } from 'node:http'
import { join } from 'node:path'
import { expect, type Guest } from './guest.js'
import { until } from './poll.js'

export interface Line {
  time: string
  stream: string
  tag: string
  text: string
}

export function parse(log: string): Line[] {
  return log.split('\n').flatMap((line) => {
    if (line === '') return []
    const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) (.*)$/s.exec(line)
    if (!match) throw new Error(`not a line of a log: ${line.slice(0, 100)}`)
    const [, time = '', stream = '', tag = '', text = ''] = match
    return [{ time, stream, tag, text }]
  })
}

/** The text with parts joined to lines again. */
export const textOf = (lines: Line[]) => lines.map(({ text, tag }) => (tag === 'P' ? text : `${text}\n`)).join('')

export async function logOf(guest: Guest, query = ''): Promise<Line[]> {
  const reply = await guest.daemon.get(`${guest.path}/log${query}`)
  expect(200, reply)
  return parse(reply.text)
}

export const hasLine = (guest: Guest, text: string) =>
  until(`the line ${text}`, async () => (await logOf(guest)).some((line) => line.text === text))

/** All files of a log, the oldest line first. */
export function stored(logDir: string, xid: number): string {
  return readdirSync(logDir)
    .filter((name) => name.startsWith(`${xid}.log`))
    .sort((a, b) => Number(b.split('.')[2] ?? 0) - Number(a.split('.')[2] ?? 0))
    .map((name) => readFileSync(join(logDir, name), 'utf8'))
    .join('')
}

/** A log that is being followed. */
export class Follower {
  text = ''
  ended = false
  readonly #request: ClientRequest
  readonly connected: Promise<unknown>

  constructor(guest: Guest, query = '') {
    let connected: (status: unknown) => void = () => undefined
    this.connected = new Promise((resolve) => (connected = resolve))
    const path = `${guest.path}/log?follow=true${query}`
    this.#request = httpGet({ socketPath: guest.daemon.socket, path, agent: false }, (response) => {
      connected(response.statusCode)
      response.setEncoding('utf8')
      response.on('data', (part: string) => (this.text += part))
      response.on('close', () => (this.ended = true))
      response.on('error', () => undefined)
    })
    this.#request.on('error', () => undefined)
  }

  get lines(): Line[] {
    return parse(this.text.slice(0, this.text.lastIndexOf('\n') + 1))
  }

  /** A line that ends so has come. */
  sees = (text: string) => until(`the follower sees ${text}`, () => this.text.includes(` ${text}\n`))
  ends = () => until('the follower is let go', () => this.ended)
  hangUp = () => this.#request.destroy()
}

/**
 * The file beside an audit log that says what a killed daemon was doing: writes under way, one slot each, and the end of
 * the chain. Slots are written over, so that ending a write needs no room on the disk. It is never rotated.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import { withErrno } from '../drivers/errors.js'
import { native } from '../drivers/native.js'
import type { Head, Intent } from './record.js'

/** Bytes of a slot; a line, for people who look into the file. */
const SLOT = 1024

/** Of a path that is too long for a slot, characters: two bytes each at most. */
const PATH_KEPT = 256

const BLANK = Buffer.from(`${' '.repeat(SLOT - 1)}\n`)

/** What is written next; one is enough, for writing does not return before it is done. */
const slotful = Buffer.from(BLANK)

/** The first slot. */
const HEAD = 0

export interface Left {
  slot: number
  intent: Intent
}

export class Pending {
  readonly #fd: number
  readonly #free: number[] = []
  #slots: number
  /** As the last daemon left it; undefined when there was none. */
  readonly head: Head | undefined
  /** Writes that the last daemon had begun and not ended. */
  readonly left: Left[] = []

  /** @throws Error when another daemon has the log; CallError when the file cannot be opened */
  constructor(readonly path: string) {
    this.#fd = withErrno('open', path, () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    const lines: (object | undefined)[] = []
    try {
      if (!native.tryLock(this.#fd))
        throw new Error(`another contextd writes the audit log (it holds ${path}); give this one its own --audit-log`)
      const text = readFileSync(this.#fd)
      for (let at = 0; at < text.length; at += SLOT) lines.push(parse(text.subarray(at, at + SLOT)))
    } catch (error) {
      closeSync(this.#fd)
      throw error
    }
    this.#slots = Math.max(1, lines.length)
    this.head = lines[HEAD] as Head | undefined
    for (const [slot, line] of lines.entries())
      if (slot !== HEAD) {
        if (line) this.left.push({ slot, intent: line as Intent })
        else this.#free.push(slot)
      }
  }

  /** Notes a write that is about to be done. @returns its slot. @throws CallError such as ENOSPC */
  begin(intent: Intent): number {
    const slot = this.#free.pop() ?? this.#slots
    try {
      this.#write(slot, filled(intent))
    } catch (error) {
      if (slot < this.#slots) this.#free.push(slot)
      throw error
    }
    this.#slots = Math.max(this.#slots, slot + 1)
    return slot
  }

  /** The write has its line. */
  end(slot: number): void {
    this.#write(slot, BLANK)
    this.#free.push(slot)
  }

  set(head: Head): void {
    this.#write(HEAD, filled(head))
  }

  #write(slot: number, data: Buffer): void {
    withErrno('write', this.path, () => {
      for (let done = 0; done < SLOT;) done += writeSync(this.#fd, data, done, SLOT - done, slot * SLOT + done)
    })
  }

  close(): void {
    closeSync(this.#fd)
  }
}

function filled(value: Head | Intent): Buffer {
  const text = JSON.stringify(value)
  const size = slotful.write(Buffer.byteLength(text) < SLOT || !('path' in value) ? text : JSON.stringify(cut(value)))
  slotful.fill(' ', size)
  slotful[SLOT - 1] = 0x0a
  return slotful
}

const cut = (intent: Intent): Intent => ({
  ...intent,
  path: intent.path.slice(0, PATH_KEPT),
  caller: intent.caller && { ...intent.caller, executable: null }
})

/** Undefined for a blank slot, and for one that a crash of the host has left half written. */
function parse(slot: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(slot.toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { native, type Zygote } from '../native.js'

/** It ends when it sees that its socket is closed, a moment later. */
export function endZygote({ pid, socket }: Zygote): void {
  closeSync(socket)
  void reap(pid)
}

async function reap(pid: number): Promise<void> {
  for (let delay = 1; !native.reap(pid); delay = Math.min(delay * 2, 1000))
    await sleep(delay, undefined, { ref: false })
}

import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Driver } from '../drivers/driver.js'
import type { Context } from '../schemas/context.js'
import { contextView } from './view.js'

export interface Rendering {
  json: string
  /** Of it in UTF-8. */
  bytes: number
  /** Strong: the same text has the same tag, in another daemon too. */
  etag: string
}

/** Some tens of microseconds each: together below a millisecond. */
const AHEAD_AT_A_TIME = 10

interface Kept extends Rendering {
  revision: number
  stopping: boolean
}

export function render(view: Context): Rendering {
  const json = JSON.stringify(view)
  return {
    json,
    bytes: Buffer.byteLength(json),
    etag: `"${createHash('sha1').update(json).digest('base64url')}"`
  }
}

/** Contexts as JSON text, kept while the driver says that they have not changed. */
export class Renderings {
  readonly #kept = new Map<number, Kept>()

  /** @param isStopping says of which contexts a DELETE is under way: no driver knows */
  constructor(
    private readonly driver: Driver,
    private readonly isStopping: (xid: number) => boolean
  ) {}

  /** @throws CallError ESRCH */
  get(xid: number): Rendering {
    const revision = this.driver.revision(xid)
    const kept = this.#kept.get(xid)
    const stopping = this.isStopping(xid)
    if (kept && kept.revision === revision && kept.stopping === stopping) return kept
    const rendering = render(contextView(this.driver, xid, { stopping }))
    if (revision !== undefined) this.#kept.set(xid, { ...rendering, revision, stopping })
    return rendering
  }

  /** Renders what an earlier daemon left, a few at a time, so that the first list need not. */
  async renderAhead(): Promise<void> {
    for (const [done, xid] of this.driver.list().entries()) {
      if (done % AHEAD_AT_A_TIME === 0) await setImmediate()
      if (this.driver.exists(xid) && this.driver.revision(xid) !== undefined) this.get(xid)
    }
  }

  forget(xid: number): void {
    this.#kept.delete(xid)
  }
}

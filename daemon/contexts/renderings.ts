import { createHash } from 'node:crypto'
import type { Driver } from '../drivers/driver.js'
import type { Context } from '../schemas/context.js'
import { contextView } from './view.js'

export interface Rendering {
  json: string
  /** Strong: the same text has the same tag, in another daemon too. */
  etag: string
}

interface Kept extends Rendering {
  revision: number
}

export function render(view: Context): Rendering {
  const json = JSON.stringify(view)
  return { json, etag: `"${createHash('sha1').update(json).digest('base64url')}"` }
}

/** Contexts as JSON text, kept while the driver says that they have not changed. */
export class Renderings {
  readonly #kept = new Map<number, Kept>()

  constructor(private readonly driver: Driver) {}

  /** @throws CallError ESRCH */
  get(xid: number): Rendering {
    const revision = this.driver.revision(xid)
    const kept = this.#kept.get(xid)
    if (kept && kept.revision === revision) return kept
    const rendering = render(contextView(this.driver, xid))
    if (revision !== undefined) this.#kept.set(xid, { ...rendering, revision })
    return rendering
  }

  forget(xid: number): void {
    this.#kept.delete(xid)
  }
}

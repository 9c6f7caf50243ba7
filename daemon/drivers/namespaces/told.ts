/** What the driver tells of by itself, to who listens. */
import type { Driver, HelperCall } from '../driver.js'

type DeathArguments = Parameters<NonNullable<Driver['onDeath']>>

/** Deaths and calls for help that are found before somebody listens are kept for whoever does. */
export class Told implements Pick<
  Driver,
  'onStart' | 'onProcessEnd' | 'onOom' | 'onExit' | 'onDeath' | 'onHelper' | 'onError'
> {
  onStart: Driver['onStart']
  onProcessEnd: Driver['onProcessEnd']
  onOom: Driver['onOom']
  onExit: Driver['onExit']
  onError: Driver['onError']
  readonly #unheard: DeathArguments[] = []
  #onDeath: Driver['onDeath']
  readonly #unanswered: HelperCall[] = []
  #onHelper: Driver['onHelper']

  get onDeath(): Driver['onDeath'] {
    return this.#onDeath
  }

  /** Also hears of contexts that had ended while no daemon ran. */
  set onDeath(listener: Driver['onDeath']) {
    this.#onDeath = listener
    for (const death of this.#unheard.splice(0)) listener?.(...death)
  }

  tellDeath(...death: DeathArguments): void {
    if (this.#onDeath) this.#onDeath(...death)
    else this.#unheard.push(death)
  }

  get onHelper(): Driver['onHelper'] {
    return this.#onHelper
  }

  /** Also hears of what was to be told while no daemon ran. */
  set onHelper(listener: Driver['onHelper']) {
    this.#onHelper = listener
    for (const call of this.#unanswered.splice(0)) listener?.(call)
  }

  tellHelper(call: HelperCall): void {
    if (this.#onHelper) this.#onHelper(call)
    else this.#unanswered.push(call)
  }
}

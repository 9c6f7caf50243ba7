import type { Registry } from 'prom-client'

/** Upper bounds in seconds: from a hot read to a creation that waits for its turn. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1, 10]

const NAME = 'contextd_http_request_duration_seconds'
const HELP = 'Requests by route and status, and the time until they were answered.'

interface Series {
  labels: { method: string; route: string; status: number }
  /** By the bound they are below, those above all in the last place. */
  counts: number[]
  sum: number
}

/** A histogram of prom-client's format. Its own costs some microseconds for each request, a tenth of a hot read. */
export class RequestDurations {
  /** By route. A key made of all three labels would have to be hashed and compared each time. */
  readonly #series = new Map<string, Series[]>()

  constructor(registry: Registry) {
    const metric = {
      name: NAME,
      help: HELP,
      type: 'histogram',
      aggregator: 'sum',
      get: async () => ({ name: NAME, help: HELP, type: 'histogram', aggregator: 'sum', values: [...this.#values()] }),
      reset: () => {
        this.#series.clear()
      }
    }
    // All that a registry asks of a metric.
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
  }

  /** @param route a pattern; never a path, of which there is no end */
  observe(method: string, route: string, status: number, seconds: number): void {
    let ofRoute = this.#series.get(route)
    if (!ofRoute) this.#series.set(route, (ofRoute = []))
    let series = ofRoute.find(({ labels }) => labels.status === status && labels.method === method)
    if (!series) {
      series = { labels: { method, route, status }, counts: new Array<number>(BOUNDS.length + 1).fill(0), sum: 0 }
      ofRoute.push(series)
    }
    let place = 0
    while (place < BOUNDS.length && seconds > (BOUNDS[place] ?? 0)) place++
    series.counts[place] = (series.counts[place] ?? 0) + 1
    series.sum += seconds
  }

  *#values() {
    for (const ofRoute of this.#series.values())
      for (const { labels, counts, sum } of ofRoute) {
        let below = 0
        for (const [place, count] of counts.entries()) {
          below += count
          yield { metricName: `${NAME}_bucket`, labels: { le: BOUNDS[place] ?? '+Inf', ...labels }, value: below }
        }
        yield { metricName: `${NAME}_sum`, labels, value: sum }
        yield { metricName: `${NAME}_count`, labels, value: below }
      }
  }
}

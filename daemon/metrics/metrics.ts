/** What the daemon tells of itself, in Prometheus' terms. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { keyOf } from '../admission/limits.js'
import { slotKinds, type AllSlots } from '../admission/slots.js'
import type { AuditLog } from '../audit/log.js'
import type { Driver } from '../drivers/driver.js'
import type { Events } from '../events/events.js'
import { version } from '../package.js'
import { CallCounts } from './calls.js'
import { RequestDurations } from './durations.js'

/** The timer that measures how late the event loop is, ms. It wakes an idle daemon up, so it is not a fine one. */
const LOOP_RESOLUTION_MS = 100

/** Gauges with the ending of a counter, which `promtool check metrics` refuses; the same by type is there without it. */
const misnamed = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

interface Sources {
  driver: Driver
  audit: AuditLog
  events: Events
  slots: AllSlots
}

type Sample = [labels: Record<string, string>, value: number]

export class Metrics {
  readonly registry = new Registry()
  readonly requests = new RequestDurations(this.registry)
  readonly #malformed: Counter
  #hasDefaults = false

  constructor({ driver, audit, events, slots }: Sources) {
    const registers = [this.registry]
    this.#malformed = new Counter({
      name: 'contextd_http_malformed_total',
      help: 'What came and was no HTTP request, or took too long to become one.',
      registers
    })
    /** A metric whose values somebody else keeps. */
    const add = (
      type: typeof Counter | typeof Gauge,
      name: string,
      help: string,
      labelNames: string[],
      samples: () => Iterable<Sample>
    ) =>
      new type({
        name: `contextd_${name}`,
        help,
        labelNames,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of samples()) this.inc(labels, value)
        }
      })
    const single = (value: () => number) => (): Sample[] => [[{}, value()]]
    const calls = new CallCounts(driver)
    add(Counter, 'native_calls_total', 'Calls of the driver, by errno.', ['call', 'errno'], function* () {
      for (const { call, errno, count } of calls) yield [{ call, errno }, count]
    })
    const perKind = (value: (slots: AllSlots[keyof AllSlots]) => number) => () =>
      slotKinds.map((kind): Sample => [{ kind: keyOf(kind) }, value(slots[kind])])
    add(
      Gauge,
      'slots_used',
      'What is under way, of each limited kind.',
      ['kind'],
      perKind(({ used }) => used)
    )
    add(
      Gauge,
      'slots_limit',
      'How many may be under way.',
      ['kind'],
      perKind(({ limit }) => limit)
    )
    add(
      Counter,
      'slots_refused_total',
      'Refused for one of these limits.',
      ['kind'],
      perKind(({ refused }) => refused)
    )
    const { history, readers } = events
    add(
      Counter,
      'events_total',
      'Events told.',
      [],
      single(() => history.next - 1)
    )
    add(
      Gauge,
      'event_readers',
      'Readers of events.',
      [],
      single(() => readers.size)
    )
    add(
      Counter,
      'event_readers_dropped_total',
      'Readers dropped for they did not read.',
      [],
      single(() => readers.dropped)
    )
    add(
      Counter,
      'audit_lines_total',
      'Lines of the audit log, all daemons counted.',
      [],
      single(() => audit.status.seq)
    )
    add(
      Counter,
      'audit_failures_total',
      'Failures to write or sync the audit log.',
      [],
      single(() => audit.status.failures)
    )
    add(Gauge, 'info', 'What runs here.', ['version', 'driver'], () => [[{ version, driver: driver.name }, 1]])
  }

  malformed(): void {
    this.#malformed.inc()
  }

  /** In the text format. The node's own are measured from the first time on: some of them need a timer. */
  async text(): Promise<string> {
    if (!this.#hasDefaults) {
      collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: LOOP_RESOLUTION_MS })
      for (const name of misnamed) this.registry.removeSingleMetric(name)
      this.#hasDefaults = true
    }
    return this.registry.metrics()
  }
}

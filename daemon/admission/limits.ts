/** What clients may use of the daemon, each a setting of `contextd serve`. */
interface LimitSetting {
  help: string
  fallback: number
  range: readonly [number, number]
}

export const limitSettings = {
  connections: { help: 'connections at a time', fallback: 4096, range: [16, 65_536] },
  requests: { help: 'requests under way, those below not counted', fallback: 1024, range: [16, 65_536] },
  waiters: { help: 'waits for the end of a context at a time', fallback: 4096, range: [0, 65_536] },
  captures: { help: 'processes with captured output at a time', fallback: 128, range: [0, 4096] },
  logReaders: { help: 'readers of logs at a time', fallback: 256, range: [0, 4096] },
  eventReaders: { help: 'readers of /events at a time', fallback: 1000, range: [0, 10_000] },
  rateLimit: { help: 'requests a second of each uid but root; 0: no limit', fallback: 1000, range: [0, 1_000_000] },
  bodyLimit: { help: 'bytes of a request body', fallback: 65_536, range: [1024, 1_048_576] },
  headerLimit: { help: 'bytes of the head of a request', fallback: 16_384, range: [1024, 131_072] },
  urlLimit: { help: 'characters of the target of a request', fallback: 4096, range: [256, 65_536] },
  headerTimeout: { help: 'seconds for the head of a request to come', fallback: 10, range: [1, 3600] },
  requestTimeout: { help: 'seconds for all of a request to come', fallback: 30, range: [1, 3600] },
  idleTimeout: { help: 'seconds between two requests of a connection', fallback: 60, range: [1, 3600] },
  sendTimeout: { help: 'seconds in which a client takes nothing of an answer', fallback: 30, range: [1, 3600] }
} satisfies Record<string, LimitSetting>

export type LimitName = keyof typeof limitSettings
export type ServiceLimits = Record<LimitName, number>

export const limitNames = Object.keys(limitSettings) as LimitName[]

export const defaultLimits = Object.fromEntries(
  limitNames.map((name) => [name, limitSettings[name].fallback])
) as ServiceLimits

/** `eventReaders` as a flag has it: `event-readers`; as a key or a label, `event_readers`. */
export const flagOf = (name: LimitName) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
export const keyOf = (name: LimitName) => flagOf(name).replaceAll('-', '_')

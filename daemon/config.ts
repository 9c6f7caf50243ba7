/** Settings: a JSON file, then the environment, then flags; the later one wins. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { AuditFailure } from './audit/log.js'
import type { GuestLogKind, LogSettings } from './logs/open.js'
import { limitNames, type ServiceLimits } from './admission/limits.js'
import { settings, type Setting } from './settings.js'
import { parseSocket, type SocketSpec } from './socket-spec.js'
import { UsageError } from './usage-error.js'

export interface Config extends LogSettings {
  /** At least one. */
  sockets: SocketSpec[]
  /** Beside names without a dot and addresses of loopback. */
  allowedHosts: string[]
  policy: string
  /** It was asked for by name, so it must be there. */
  policyIsNamed: boolean
  auditLog: string
  auditFailure: AuditFailure
  logLevel: string
  /** Bytes. */
  captureMemory: number
  /** 0: no limit. */
  defaultPidsMax: number
  cgroupRoot: string | undefined
  procVirtual: string
  stateDir: string
  helper: string | undefined
  /** Events kept for readers that come back. */
  eventHistory: number
  limits: ServiceLimits
  /** Metrics of each context, too. */
  contextMetrics: boolean
  dev: boolean
}

type Name = keyof typeof settings
const names = Object.keys(settings) as Name[]
const setting = (name: Name): Setting => settings[name]

export function serveHelp(): string {
  const rows = names.map((name) => {
    const { flag, placeholder, help, choices, range, fallback } = setting(name)
    const more = [range?.join('..'), choices && `one of ${choices.join(', ')}`, fallback && `default ${fallback}`]
      .filter(Boolean)
      .join('; ')
    const left = `--${flag} ${placeholder}`
    return `  ${left.length < 22 ? left.padEnd(22) : `${left}\n${' '.repeat(24)}`}${help}${more ? ` (${more})` : ''}`
  })
  return [
    'Usage: contextd serve [options]',
    '',
    ...rows,
    '  --config FILE         JSON file with these settings, such as {"log_level": "debug"}',
    '  --dev                 development: files in ./run, and the memory driver where no real one works',
    '  --help                this text',
    '',
    'A setting may also come from the environment: CONTEXTD_SOCKET, CONTEXTD_LOG_LEVEL and so on.',
    'Flags win over the environment, and that over the file.',
    ''
  ].join('\n')
}

/** @throws UsageError for anything that is not understood */
export function readConfig(args: string[], env: NodeJS.ProcessEnv): Config | 'help' {
  const options = Object.fromEntries(
    names.map((name) => [setting(name).flag, { type: 'string' as const, multiple: true }])
  )
  let flags: Record<string, string[] | string | boolean | undefined>
  try {
    flags = parseArgs({
      args,
      options: { ...options, config: { type: 'string' }, dev: { type: 'boolean' }, help: { type: 'boolean' } }
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (flags.help) return 'help'
  const dev = flags.dev === true
  const file = typeof flags.config === 'string' ? readFile(flags.config) : {}

  const found = (name: Name): unknown => {
    const { flag, key } = setting(name)
    return flags[flag] ?? env[`CONTEXTD_${key.toUpperCase()}`] ?? file[key]
  }
  const values = (name: Name): string[] => {
    const { flag, fallback, devFallback, choices, range, multiple } = setting(name)
    const all = [found(name) ?? (dev ? devFallback : undefined) ?? fallback ?? []].flat()
    const texts = all.map((one) => (typeof one === 'number' ? String(one) : one))
    for (const text of texts) {
      if (typeof text !== 'string' || text === '') throw new UsageError(`${flag} needs a value`)
      if (choices && !choices.includes(text))
        throw new UsageError(`${flag} is one of ${choices.join(', ')}, not "${text}"`)
      if (range) numberIn(flag, text, range)
    }
    // As with other programs, the last one counts.
    return multiple ? (texts as string[]) : (texts.slice(-1) as string[])
  }
  const value = (name: Name): string | undefined => values(name)[0]
  const number = (name: Name): number => {
    const { flag, range = [0, 0] } = setting(name)
    return numberIn(flag, value(name) ?? '', range)
  }
  return {
    sockets: socketsOf(values('socket')),
    allowedHosts: values('allowedHost'),
    policy: value('policy') ?? '',
    policyIsNamed: found('policy') !== undefined,
    driver: value('driver') as Config['driver'],
    auditLog: value('auditLog') ?? '',
    auditFailure: value('auditFailure') as AuditFailure,
    logLevel: value('logLevel') ?? '',
    guestLog: value('guestLog') as GuestLogKind,
    logDir: value('logDir') ?? '',
    captureMemory: number('captureMemory'),
    defaultPidsMax: number('defaultPidsMax'),
    logSize: number('logSize'),
    logFiles: number('logFiles'),
    journalSocket: value('journalSocket') ?? '',
    cgroupRoot: value('cgroupRoot'),
    procVirtual: value('procVirtual') ?? '',
    stateDir: value('stateDir') ?? '',
    helper: value('helper'),
    eventHistory: number('eventHistory'),
    limits: Object.fromEntries(limitNames.map((name) => [name, number(name)])) as ServiceLimits,
    contextMetrics: value('contextMetrics') === 'on',
    dev
  }
}

const isText = (value: unknown) => typeof value === 'string'

function socketsOf(texts: string[]): SocketSpec[] {
  const specs = texts.map((text) => {
    try {
      return parseSocket(text)
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
  })
  const twice = specs.find(({ path }, index) => specs.findIndex((other) => other.path === path) !== index)
  if (twice) throw new UsageError(`socket "${twice.path}" is given twice`)
  if (specs.length === 0) throw new UsageError('socket needs a value')
  return specs
}

/** A whole number, with K, M or G for powers of 1024. */
function numberIn(flag: string, text: string, [least, most]: readonly [number, number]): number {
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/.exec(text) ?? []
  const number = Number(digits) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit)
  if (!(number >= least && number <= most))
    throw new UsageError(`${flag} is a number from ${least} to ${most}, not "${text}"`)
  return number
}

function readFile(path: string): Record<string, string | number | string[]> {
  let parsed: unknown
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`config ${path}: ${(error as Error).message}`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new UsageError(`config ${path}: not an object`)
  const keys = names.map((name) => setting(name).key)
  for (const [key, value] of Object.entries(parsed)) {
    if (!keys.includes(key)) throw new UsageError(`config ${path}: unknown key "${key}"; known: ${keys.join(', ')}`)
    const { multiple, range } = setting(names.find((name) => setting(name).key === key) ?? 'socket')
    if (isText(value) || (range && typeof value === 'number')) continue
    if (!(multiple && Array.isArray(value) && value.every(isText)))
      throw new UsageError(
        `config ${path}: ${key} is not a string${multiple ? ' or an array of strings' : range ? ' or a number' : ''}`
      )
  }
  return parsed as Record<string, string | number | string[]>
}

/** Settings: a JSON file, then the environment, then flags; the later one wins. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { DriverName } from './drivers/driver.js'

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Config {
  socket: string
  driver: DriverName | 'auto'
  auditLog: string
  logLevel: string
  cgroupRoot: string | undefined
  dev: boolean
}

interface Setting {
  flag: string
  /** Key in the file; CONTEXTD_ and the same in capitals is the variable. */
  key: string
  placeholder: string
  help: string
  fallback: string | undefined
  devFallback?: string
  choices?: readonly string[]
}

const settings = {
  socket: {
    flag: 'socket',
    key: 'socket',
    placeholder: 'PATH',
    help: 'Unix socket to serve',
    fallback: '/run/contextd/contextd.sock',
    devFallback: 'run/contextd.sock'
  },
  driver: {
    flag: 'driver',
    key: 'driver',
    placeholder: 'NAME',
    help: 'auto takes the first real one that works',
    fallback: 'auto',
    choices: ['auto', 'vserver', 'namespaces', 'memory']
  },
  auditLog: {
    flag: 'audit-log',
    key: 'audit_log',
    placeholder: 'PATH',
    help: 'one JSON line for every write',
    fallback: '/var/log/contextd/audit.log',
    devFallback: 'run/audit.log'
  },
  logLevel: {
    flag: 'log-level',
    key: 'log_level',
    placeholder: 'LEVEL',
    help: 'least level logged to stderr',
    fallback: 'info',
    choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
  },
  cgroupRoot: {
    flag: 'cgroup-root',
    key: 'cgroup_root',
    placeholder: 'PATH',
    help: 'cgroup v2 directory for contexts (default: contextd below the first cgroup2 mount)',
    fallback: undefined
  }
} satisfies Record<string, Setting>

type Name = keyof typeof settings
const names = Object.keys(settings) as Name[]
const setting = (name: Name): Setting => settings[name]

export function serveHelp(): string {
  const rows = names.map((name) => {
    const { flag, placeholder, help, choices, fallback } = setting(name)
    const more = [choices && `one of ${choices.join(', ')}`, fallback && `default ${fallback}`]
      .filter(Boolean)
      .join('; ')
    return `  ${`--${flag} ${placeholder}`.padEnd(22)}${help}${more ? ` (${more})` : ''}`
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
  const options = Object.fromEntries(names.map((name) => [setting(name).flag, { type: 'string' as const }]))
  let flags: Record<string, string | boolean | undefined>
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

  const value = (name: Name): string | undefined => {
    const { flag, key, fallback, devFallback, choices } = setting(name)
    const variable = `CONTEXTD_${key.toUpperCase()}`
    const found = flags[flag] ?? env[variable] ?? file[key] ?? (dev ? devFallback : undefined) ?? fallback
    if (found !== undefined && (typeof found !== 'string' || found === ''))
      throw new UsageError(`${flag} needs a value`)
    if (found !== undefined && choices && !choices.includes(found))
      throw new UsageError(`${flag} is one of ${choices.join(', ')}, not "${found}"`)
    return found
  }
  return {
    socket: value('socket') ?? '',
    driver: value('driver') as Config['driver'],
    auditLog: value('auditLog') ?? '',
    logLevel: value('logLevel') ?? '',
    cgroupRoot: value('cgroupRoot'),
    dev
  }
}

function readFile(path: string): Record<string, string> {
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
    if (typeof value !== 'string') throw new UsageError(`config ${path}: ${key} is not a string`)
  }
  return parsed as Record<string, string>
}

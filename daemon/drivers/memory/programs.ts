import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { ProcessSpec } from '../driver.js'
import { CallError } from '../errors.js'

/** What a modelled program does: how it ends, and when. Without `after` it runs until it is killed. */
export interface Behaviour {
  /** Milliseconds. */
  after?: number
  exitCode?: number
  stdout?: string
}

interface Guest {
  nodename: string
  stdin: string
}

/** The few programs whose end the model knows. Every other one runs until it is killed, as a server would. */
const programs: Record<string, (argv: string[], guest: Guest) => Behaviour> = {
  true: () => ({ after: 0 }),
  false: () => ({ after: 0, exitCode: 1 }),
  sleep: (argv) => ({ after: Number(argv[1]) * 1000 }),
  echo: (argv) => ({ after: 0, stdout: `${argv.slice(1).join(' ')}\n` }),
  cat: (argv, guest) => (argv.length === 1 ? { after: 0, stdout: guest.stdin } : {}),
  hostname: (_argv, guest) => ({ after: 0, stdout: `${guest.nodename}\n` }),
  sh: (argv) => {
    const exit = /^exit (\d{1,3})$/.exec(argv[2] ?? '')
    return exit ? { after: 0, exitCode: Number(exit[1]) & 0xff } : {}
  }
}

/** @throws CallError such as ENAMETOOLONG, for a path that is no path */
function exists(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
  } catch (error) {
    throw new CallError((error as NodeJS.ErrnoException).code ?? 'EIO', 'execve', path)
  }
}

/**
 * Finds the program as execve would, on this machine's files below `root`, and says how it will behave.
 * @throws CallError ENOENT when there is no such file
 */
export function behaviourOf(spec: ProcessSpec, root: string | null, guest: Guest): Behaviour {
  const name = spec.argv[0] ?? ''
  const directories = name.includes('/') ? [''] : (spec.env.PATH ?? '/usr/bin:/bin').split(':')
  if (!directories.some((directory) => exists(join(root ?? '/', directory, name))))
    throw new CallError('ENOENT', 'execve', name)
  const program = programs[basename(name)]
  return program ? program(spec.argv, guest) : {}
}

/** Controllers of cgroup v2 for contexts: each is handed on from directory to directory (cgroup-v2.rst, "Controllers"). */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

const controllers = ['cpu', 'memory', 'pids'] as const
export type Controller = (typeof controllers)[number]

/** Why contexts cannot have a controller, for each that they cannot have. */
export type MissingControllers = ReadonlyMap<Controller, string>

export const allMissing = (reason: string): MissingControllers => new Map(controllers.map((name) => [name, reason]))

/**
 * Gives the controllers to the contexts.
 * @param mount where the hierarchy is mounted
 * @param contexts directory of the contexts, below it
 */
export function handOn(mount: string, contexts: string): MissingControllers {
  const missing = new Map<Controller, string>()
  for (const controller of controllers) {
    const reason = handOnOne(controller, mount, contexts)
    if (reason !== undefined) missing.set(controller, reason)
  }
  return missing
}

function handOnOne(controller: Controller, mount: string, contexts: string): string | undefined {
  let directory = mount
  for (const name of ['', ...relative(mount, contexts).split(sep)]) {
    directory = join(directory, name)
    const control = join(directory, 'cgroup.subtree_control')
    if (wordsOf(control).includes(controller)) continue
    // Where version 1 has taken it, it is missing in the very first.
    if (!wordsOf(join(directory, 'cgroup.controllers')).includes(controller))
      return `no cgroup controller ${controller} in ${directory}`
    try {
      writeFileSync(control, `+${controller}`)
    } catch (error) {
      return `no cgroup controller ${controller}: ${(error as NodeJS.ErrnoException).code} from ${control}`
    }
  }
  return undefined
}

const wordsOf = (path: string) => readFileSync(path, 'utf8').trim().split(' ')

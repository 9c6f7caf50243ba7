/** How a socket is written among the settings: PATH[,policy=FILE][,mode=0660][,group=NAME]. */

export interface SocketSpec {
  path: string
  /** Policy file of this socket; undefined: the one of all. */
  policy?: string
  /** Permission bits. */
  mode?: number
  /** Name of the group that the socket belongs to. */
  group?: string
}

const readers: Record<string, (value: string) => Partial<SocketSpec> | undefined> = {
  policy: (policy) => (policy === '' ? undefined : { policy }),
  mode: (text) => (/^0?[0-7]{3}$/.test(text) ? { mode: parseInt(text, 8) } : undefined),
  group: (group) => (group === '' ? undefined : { group })
}

/** @throws Error saying what is not understood */
export function parseSocket(text: string): SocketSpec {
  const [path = '', ...options] = text.split(',')
  if (path === '') throw new Error('socket needs a path')
  let spec: SocketSpec = { path }
  for (const option of options) {
    const [, name = option, value = ''] = /^([^=]*)=(.*)$/.exec(option) ?? []
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (!read)
      throw new Error(
        `socket "${path}": unknown option "${name}"; known: ${Object.keys(readers).join(', ')} (a path has no comma)`
      )
    const part = read(value)
    if (!part)
      throw new Error(`socket "${path}": ${name} cannot be "${value}"${name === 'mode' ? '; such as 0660' : ''}`)
    if (name in spec) throw new Error(`socket "${path}": ${name} is given twice`)
    spec = { ...spec, ...part }
  }
  return spec
}

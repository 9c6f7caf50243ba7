/** JSON whose values know where they stand in the file, so that a mistake is named by line and column. */
import jsonc from 'jsonc-parser'

type Path = readonly (string | number)[]

/** A mistake in a file. The message starts with path:line:column, as compilers write it. */
export class LocatedError extends Error {
  override readonly name = 'LocatedError'

  constructor(where: string, reason: string) {
    super(`${where}: ${reason}`)
  }
}

export interface LocatedJson {
  value: unknown
  /** The error about the value at this path; where there is none, about the one that should have it. */
  errorAt: (at: Path, reason: string) => LocatedError
}

/** @throws LocatedError for what is no JSON */
export function parseLocated(path: string, text: string): LocatedJson {
  const errors: jsonc.ParseError[] = []
  const tree = jsonc.parseTree(text, errors, { disallowComments: true, allowTrailingComma: false })
  const where = (offset: number) => {
    const before = text.slice(0, offset).split('\n')
    return `${path}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`
  }
  const [error] = errors
  if (error) {
    const code = jsonc.printParseErrorCode(error.error)
    // InvalidSymbol -> invalid symbol
    throw new LocatedError(where(error.offset), code.replace(/(?<=[a-z])[A-Z]/g, ' $&').toLowerCase())
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (failure) {
    throw new LocatedError(where(0), (failure as Error).message)
  }
  const offsetOf = (at: Path): number => {
    const node = tree && jsonc.findNodeAtLocation(tree, [...at])
    if (node) return node.parent?.type === 'property' ? node.parent.offset : node.offset
    return at.length === 0 ? 0 : offsetOf(at.slice(0, -1))
  }
  return { value, errorAt: (at, reason) => new LocatedError(where(offsetOf(at)), reason) }
}

/** A policy: rules with names resolved, from which each peer's access is compiled once a connection. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { XID_MAX, XID_MIN } from '../drivers/rules.js'
import { actions, PolicyDocument, type Action, type Rule } from '../schemas/policy.js'
import { Access, type Grant, type OwnerOf } from './access.js'
import type { Accounts } from './accounts.js'
import { parseLocated, type LocatedError } from './located-json.js'

/** Whom a policy asks about. */
export interface Caller {
  uid: number
  gid: number
  /** Supplementary groups. */
  groups: readonly number[]
}

interface CompiledRule {
  /** Undefined: every user. */
  users: ReadonlySet<number> | undefined
  groups: ReadonlySet<number>
  actions: readonly Action[]
  grant: Grant
}

let compiled: ValidateFunction<PolicyDocument> | undefined

/** Made when the first policy is read: it takes a while, and most daemons have none. */
const validator = () =>
  (compiled ??= new Ajv2020({ strict: false, verbose: true }).compile<PolicyDocument>(PolicyDocument))

export class Policy {
  private constructor(private readonly rules: readonly CompiledRule[]) {}

  /**
   * @param path for messages
   * @throws LocatedError naming the line of what is no JSON, not by the schema, or no account
   */
  static parse(path: string, text: string, accounts: Accounts): Policy {
    const json = parseLocated(path, text)
    const { value } = json
    const validate = validator()
    if (!validate(value)) throw schemaError(validate.errors, json.errorAt)
    return new Policy(value.rules.map((rule, index) => compile(rule, ['rules', index], accounts, json.errorAt)))
  }

  /** Where there is no file: root, the daemon's own user and the group `contextd` may do everything, nobody else anything. */
  static default(ownUid: number, contextdGid: number | undefined): Policy {
    const grant: Grant = { all: true, own: false, ranges: [] }
    const groups = new Set(contextdGid === undefined ? [] : [contextdGid])
    return new Policy([{ users: new Set([0, ownUid]), groups, actions, grant }])
  }

  accessOf(caller: Caller, ownerOf: OwnerOf): Access {
    const applying = this.rules.filter(
      ({ users, groups }) =>
        !users || users.has(caller.uid) || groups.has(caller.gid) || caller.groups.some((gid) => groups.has(gid))
    )
    const grants = Object.fromEntries(
      actions.map((action) => [
        action,
        union(applying.filter((rule) => rule.actions.includes(action)).map(({ grant }) => grant))
      ])
    ) as Record<Action, Grant>
    return new Access(caller.uid, grants, ownerOf)
  }
}

type ErrorAt = (at: readonly (string | number)[], reason: string) => LocatedError

/** The schema's descriptions are written to stand after "expected". */
function schemaError(errors: ErrorObject[] | null | undefined, errorAt: ErrorAt): LocatedError {
  const [error] = errors ?? []
  const at = (error?.instancePath ?? '').split('/').slice(1)
  const path = at.map((part) => (/^\d+$/.test(part) ? Number(part) : part))
  const { additionalProperty } = (error?.params ?? {}) as { additionalProperty?: string }
  const name = at.join('.') || 'the policy'
  if (additionalProperty !== undefined)
    return errorAt([...path, additionalProperty], `${name}: unknown field "${additionalProperty}"`)
  const { description } = (error?.parentSchema ?? {}) as { description?: string }
  const expected = description === undefined ? '' : `; expected: ${description}`
  return errorAt(path, `${name} ${error?.message ?? 'is invalid'}${expected}`)
}

function compile(rule: Rule, at: (string | number)[], accounts: Accounts, errorAt: ErrorAt): CompiledRule {
  const { users = [], groups = [] } = rule
  if (!rule.users && !rule.groups) throw errorAt(at, `${at.join('.')} names neither users nor groups`)
  const ids = (field: 'users' | 'groups', names: (string | number)[]) =>
    new Set(
      names.map((name, index) => {
        const id = typeof name === 'number' ? name : accounts[field].get(name)
        if (id !== undefined) return id
        throw errorAt(
          [...at, field, index],
          `${[...at, field, index].join('.')}: there is no ${field.slice(0, -1)} "${name}" in /etc/${field === 'users' ? 'passwd' : 'group'}`
        )
      })
    )
  return {
    users: users.includes('*') ? undefined : ids('users', users),
    groups: ids('groups', groups),
    actions: rule.actions.includes('all') ? actions : (rule.actions as Action[]),
    grant: union(
      rule.contexts.map((text, index) => {
        const [from = 0, to = 0] = rangeOf(text)
        if (from > to || from < XID_MIN || to > XID_MAX)
          throw errorAt(
            [...at, 'contexts', index],
            `${[...at, 'contexts', index].join('.')}: "${text}" is no range within ${XID_MIN}-${XID_MAX}`
          )
        return text === 'all' || text === 'own'
          ? { all: text === 'all', own: text === 'own', ranges: [] }
          : { all: false, own: false, ranges: [[from, to]] }
      })
    )
  }
}

function rangeOf(text: string | number): number[] {
  if (text === 'all' || text === 'own') return [XID_MIN, XID_MAX]
  return typeof text === 'number' ? [text, text] : text.split('-').map(Number)
}

function union(grants: readonly Grant[]): Grant {
  const ranges: [number, number][] = []
  for (const [from, to] of grants.flatMap((grant) => grant.ranges).sort(([a], [b]) => a - b)) {
    const last = ranges.at(-1)
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to)
    else ranges.push([from, to])
  }
  return { all: grants.some(({ all }) => all), own: grants.some(({ own }) => own), ranges }
}

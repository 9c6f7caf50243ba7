/** The policy file: who may do what to which contexts. */
import Type, { type Static } from 'typebox'
import { strict } from './common.js'

/** What a request does. Every route declares one of them (`config.action`). */
export const actions = ['read', 'create', 'configure', 'signal', 'execute', 'destroy', 'audit'] as const
export type Action = (typeof actions)[number]

const NAME_OR_ID = {
  type: ['string', 'integer'],
  minLength: 1,
  minimum: 0,
  maximum: 4_294_967_294
}

const list = <T>(item: object, description: string) =>
  Type.Unsafe<T[]>({ type: 'array', minItems: 1, items: { ...item, description }, description })

const Rule = strict({
  users: Type.Optional(list<string | number>(NAME_OR_ID, 'names or ids of users, or * for whoever can connect')),
  groups: Type.Optional(list<string | number>(NAME_OR_ID, 'names or ids of groups')),
  actions: list<Action | 'all'>({ type: 'string', enum: [...actions, 'all'] }, `all, or some of ${actions.join(', ')}`),
  contexts: list<string | number>(
    {
      type: ['string', 'integer'],
      pattern: '^(?:all|own|[1-9][0-9]{0,4}-[1-9][0-9]{0,4})$',
      minimum: 2,
      maximum: 65535
    },
    'all, own (those that the caller has created), xids and ranges such as "1000-1999"'
  )
})
export type Rule = Static<typeof Rule>

export const PolicyDocument = strict({
  rules: Type.Array(Rule, { description: 'a list of rules; what no rule allows is denied' })
})
export type PolicyDocument = Static<typeof PolicyDocument>

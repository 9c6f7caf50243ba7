import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import type { LimitName } from '../vocabulary/limits.js'
import type { UnameField } from '../vocabulary/uname.js'
import type { WordView } from '../vocabulary/word.js'
import { enumOf, nullable, ref, strict, Timestamp, XID } from './common.js'
import { ExitReport } from './context.js'
import { Word } from './word.js'

export const eventTypes = [
  'created',
  'started',
  'process_exited',
  'oom',
  'exited',
  'paused',
  'resumed',
  'changed',
  'destroyed',
  'helper'
] as const
export type EventType = (typeof eventTypes)[number]

/** What has happened to a context. */
export type Happening =
  | { type: 'created'; xid: number; name: string | null }
  /** A process has been started; pid of the host. */
  | { type: 'started'; xid: number; pid: number; init: boolean }
  /** A process that was started on its own, neither init nor captured, has ended. */
  | ({ type: 'process_exited'; pid: number } & Omit<ExitReport, 'reboot_cmd'>)
  /** The kernel has killed processes for lack of memory: so many since the creation. */
  | { type: 'oom'; xid: number; kills: number }
  /** The last process has ended; how is that of the init or of the last task. */
  | ({ type: 'exited' } & ExitReport)
  | { type: 'paused' | 'resumed'; xid: number }
  | { type: 'changed'; xid: number; what: 'flags' | 'bcaps' | 'ccaps'; value: WordView }
  | { type: 'changed'; xid: number; what: `uname.${UnameField}`; value: string }
  | { type: 'changed'; xid: number; what: `limits.${LimitName}`; value: number | null }
  | ({ type: 'destroyed' } & ExitReport)
  | { type: 'helper'; xid: number; action: string; uid: number | null; pid: number | null }

/** One text or several of them, each a value or values with commas between. */
const listOf = (item: string, description: string) => {
  const text = Type.String({ pattern: `^${item}(,${item})*$`, maxLength: 4096 })
  return Type.Optional(Type.Union([text, Type.Array(text, { maxItems: 256 })], { description }))
}

export const EventQuery = strict({
  xid: listOf('[1-9][0-9]{0,4}', 'Only of these contexts; repeated, or with commas.'),
  type: listOf(`(${eventTypes.join('|')})`, 'Only of these types; repeated, or with commas.'),
  last_event_id: Type.Optional(
    Type.String({ maxLength: 64, description: 'As the header Last-Event-ID, which wins: what came after this event.' })
  )
})
export type EventQuery = Static<typeof EventQuery>

export const LastEventId = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ description: 'Goes on after that event; browsers send it by themselves when they connect again.' })
  )
})

const Cause = {
  time: Timestamp('When it happened.'),
  request_id: Type.Optional(Type.String({ description: 'Of the request that did it, as in the audit log.' }))
}
/** ProcessExited of process_exited. */
const title = (type: string) => type.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

const event = <const T extends EventType>(type: T, description: string, more: TProperties = {}) =>
  strict(
    { type: Type.Unsafe<T>({ const: type }), xid: XID, ...Cause, ...more },
    { $id: `${title(type)}Event`, description }
  )

const without = (properties: TProperties, name: string) =>
  Object.fromEntries(Object.entries(properties).filter(([key]) => key !== name))

const report = without(ExitReport.properties, 'xid')

/** What `data` of a message holds, by its type. */
const kinds: Record<EventType, TSchema> = {
  created: event('created', 'A creation is whole.', { name: nullable(Type.String({ description: 'Its label.' })) }),
  started: event('started', 'exec of a process has succeeded.', {
    pid: Type.Integer({ description: 'Of the host.' }),
    init: Type.Boolean({ description: 'It is the init of the context.' })
  }),
  process_exited: event(
    'process_exited',
    'A process that was started on its own, neither init nor captured, has ended.',
    {
      pid: Type.Integer({ description: 'Of the host.' }),
      ...without(report, 'reboot_cmd')
    }
  ),
  oom: event('oom', 'The kernel has killed processes for lack of memory.', {
    kills: Type.Integer({ description: 'So many since the creation.' })
  }),
  exited: event('exited', 'The last process of the context has ended.', report),
  paused: event('paused', 'SCHED_PAUSE was set.'),
  resumed: event('resumed', 'SCHED_PAUSE was cleared.'),
  changed: event('changed', 'A word, name or limit was changed after the creation.', {
    what: Type.String({ description: 'flags, bcaps, ccaps, uname.FIELD or limits.NAME.' }),
    value: Type.Unsafe<WordView | string | number | null>({
      anyOf: [ref(Word), { type: 'string' }, { type: 'integer' }, { type: 'null' }],
      description: 'What it is now.'
    })
  }),
  destroyed: event('destroyed', 'The context is gone.', report),
  helper: event('helper', 'A guest asks the host for something: reboot(2), SC_HELPER.', {
    action: Type.String({ description: 'restart, halt, poweroff, startup, shutdown …' }),
    uid: nullable(Type.Integer({ description: 'Who asked, where the kernel says it.' })),
    pid: nullable(Type.Integer({ description: 'The same.' }))
  })
}

const GapEvent = strict(
  {
    type: Type.Unsafe<'gap'>({ const: 'gap' }),
    reason: enumOf(['expired', 'unknown'], { description: 'They are too old; or of another run of the daemon.' })
  },
  { $id: 'GapEvent', description: 'Events are lost to this reader: ask for the state again.' }
)

const all = [...Object.values(kinds), GapEvent]

export const Event = Type.Unsafe<unknown>({
  $id: 'Event',
  description: 'What `data` of a message holds.',
  anyOf: all.map((schema) => ref(schema))
})

export const eventComponents: TSchema[] = [...all, Event]

export const EventStream = Type.Unsafe<string>({
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: ref(Event),
  description:
    'Server-Sent Events: `id`, `event` (the type) and `data`, a JSON object on one line. `gap` tells of events that are lost.',
  examples: [
    'id: 5f1c2b3a4d5e-1\nevent: created\ndata: {"type":"created","xid":100,"name":"web1","time":"2026-10-06T00:17:09.669Z"}\n\n'
  ]
})

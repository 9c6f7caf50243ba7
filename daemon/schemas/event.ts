import Type, { type Static } from 'typebox'
import type { LimitName } from '../vocabulary/limits.js'
import type { UnameField } from '../vocabulary/uname.js'
import type { WordView } from '../vocabulary/word.js'
import { strict } from './common.js'
import type { ExitReport } from './context.js'

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

export const EventStream = Type.String({
  description:
    'Server-Sent Events: `id`, `event` (the type) and `data`, a JSON object with `type`, `xid`, `time`, where a request was the cause `request_id`, and what the type says. `gap` tells of events that are lost.'
})

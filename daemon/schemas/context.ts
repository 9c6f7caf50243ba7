import Type, { type Static } from 'typebox'
import {
  AbsolutePath,
  Change,
  dryRun,
  irreversible,
  nullable,
  Nanoseconds,
  orNull,
  ref,
  Seconds,
  strict,
  Timestamp,
  unsupported,
  XID
} from './common.js'
import { Limits, LimitsInput } from './limits.js'
import { Command } from './process.js'
import { Uname, UnameInput } from './uname.js'
import { RebootCommand, SignalName } from './names.js'
import { words } from './word.js'

const Name = Type.String({ description: 'Label of the context, the same as uname.context. At most 64 bytes of UTF-8.' })

export const contextStates = ['setup', 'running', 'paused', 'empty', 'stopping'] as const
export type ContextState = (typeof contextStates)[number]

export const ExitReport = strict(
  {
    xid: XID,
    reboot_cmd: orNull(RebootCommand, 'RESTART, HALT, … when the guest called reboot(2); else null.'),
    exit_code: nullable(Type.Integer({ description: 'Of the init or the last task; null when a signal ended it.' })),
    term_signal: orNull(SignalName, 'Name of the signal that ended it.'),
    raw_status: Type.Integer({ description: 'wait(2) status word.' }),
    oom_killed: nullable(
      Type.Boolean({ description: 'The kernel killed it for lack of memory; null where that cannot be known.' })
    )
  },
  { $id: 'ExitReport', description: 'How a context ended.' }
)
export type ExitReport = Static<typeof ExitReport>

const context = {
  xid: XID,
  name: nullable(Type.String({ description: 'Label of the context; null when it has none.' })),
  state: Type.Unsafe<ContextState>({
    type: 'string',
    enum: contextStates,
    description:
      'setup: nothing has run yet; running; paused: its processes are stopped (SCHED_PAUSE); empty: persistent, and no process is left; stopping: a DELETE is under way.'
  }),
  initpid: Type.Integer({ description: 'Host pid of the init; 0: none.' }),
  created_at: Timestamp('Creation of the context.'),
  owner: nullable(Type.Integer({ description: 'Uid that has made the context; null: not made through contextd.' })),
  last_exit: Type.Unsafe<ExitReport | null>({
    anyOf: [ref(ExitReport), { type: 'null' }],
    description:
      'How the last run of a context that outlasts it has ended: its init, or the last task. Null while none has.'
  }),
  root: nullable(Type.String({ description: "Directory that is the guest's /; null: the host's root, read-only." })),
  flags: ref(words.flags.Word),
  bcaps: ref(words.bcaps.Word),
  ccaps: ref(words.ccaps.Word),
  uname: ref(Uname),
  limits: ref(Limits)
}

export const Context = strict(context, { $id: 'Context', description: 'All of a context.' })
export type Context = Static<typeof Context>

const warnings = Type.Optional(
  Type.Array(Type.String(), { description: 'What a creation was given, and is hardly ever meant.' })
)

export const CreatedContext = strict(
  { ...context, warnings },
  { $id: 'CreatedContext', description: 'A context that was made.' }
)

export const AppliedContext = strict(
  {
    ...context,
    warnings,
    changed: Type.Array(Type.String(), { description: 'What the request changed; "created" for a new context.' })
  },
  { $id: 'AppliedContext', description: 'A context after a PUT.' }
)

export const ContextList = strict(
  {
    contexts: Type.Array(ref(Context)),
    next: nullable(Type.Integer({ description: 'Pass as `after` to get the next page; null: this was the last.' }))
  },
  { $id: 'ContextList', description: 'Contexts in ascending order of xid.' }
)

const body = {
  name: Type.Optional(Name),
  flags: Type.Optional(words.flags.Input),
  bcaps: Type.Optional(words.bcaps.Input),
  ccaps: Type.Optional(words.ccaps.Input),
  uname: Type.Optional(ref(UnameInput)),
  limits: Type.Optional(ref(LimitsInput)),
  root: Type.Optional(AbsolutePath('Directory that becomes / of the guest, no symbolic link on the way.')),
  init: Type.Optional(ref(Command))
}

export const ContextBody = strict(body, {
  $id: 'ApplyContextRequest',
  description: 'A context to create, or the state to bring it to.',
  examples: [
    {
      name: 'web1',
      flags: ['PERSISTENT'],
      uname: { nodename: 'web1' },
      init: { argv: ['sleep', '1000'] }
    }
  ]
})
export type ContextBody = Static<typeof ContextBody>

export const CreateBody = strict(
  { xid: Type.Optional(XID), ...body },
  {
    $id: 'CreateContextRequest',
    description: 'A context to create. Without xid the lowest free one from 49152 on is taken.',
    examples: [
      { name: 'web1', flags: ['PERSISTENT'], uname: { nodename: 'web1' }, init: { argv: ['sleep', '1000'] } },
      { bcaps: ['CHOWN', 'KILL', 'SETUID', 'SETGID'], init: { argv: ['sleep', '1'], env: { LANG: 'C.UTF-8' } } }
    ]
  }
)

export const CreateQuery = strict({
  wait: Type.Optional(
    Type.Unsafe<number | ''>({
      anyOf: [{ type: 'number', minimum: 0, maximum: 86_400 }, { const: '' }],
      description:
        'Answer when the context has ended, after so many seconds at the latest; without a value, whenever it ends.'
    })
  ),
  dry_run: dryRun,
  unsupported,
  irreversible
})

export const ListQuery = strict({
  name: Type.Optional(Type.String({ description: 'Only contexts with exactly this name.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'At most so many; default 1000.' })),
  after: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535, description: 'Only xids above this one.' }))
})

export const DestroyQuery = strict({
  signal: Type.Optional(Type.String({ maxLength: 16, description: 'Sent first; default SIGTERM.' })),
  grace: Type.Optional(Seconds('Seconds until SIGKILL; default 10.', 3600)),
  dry_run: dryRun
})

export const Info = strict({ xid: XID, initpid: Type.Integer() }, { $id: 'Info', description: 'Context information.' })

const count = (description: string) => Type.Integer({ description })
export const StatReply = strict(
  {
    usecnt: count('Uses of the context; one for each waiter.'),
    tasks: count('Tasks, and one more while PERSISTENT is set, as the kernel counts.'),
    nr_threads: count('Threads.'),
    nr_running: count('Runnable tasks.'),
    nr_unintr: count('Tasks in uninterruptible sleep.'),
    nr_onhold: count('Tasks on hold.'),
    nr_forks: nullable(count('Forks since the start; null where the driver cannot count.')),
    load: Type.Unsafe<[number, number, number] | null>({
      type: ['array', 'null'],
      items: { type: 'number' },
      description: 'Load averages over 1, 5 and 15 minutes; null where the driver cannot tell.'
    }),
    offset: Type.Number({ description: 'Offset of the uptime, seconds, rounded to milliseconds.' }),
    offset_ns: Nanoseconds('Offset of the uptime.'),
    uptime: Type.Number({ description: 'Since creation, seconds, rounded to milliseconds.' }),
    uptime_ns: Nanoseconds('Since creation.')
  },
  { $id: 'Stat', description: 'Context statistics.' }
)
export type StatReply = Static<typeof StatReply>

export const WaitQuery = strict({
  timeout: Type.Optional(Seconds('Answer 204 when the context is still alive after so many seconds; default: wait on.'))
})

/** POST and PUT answer one or the other with 200. */
export const ReportOrChange = Type.Unsafe<ExitReport | Static<typeof Change>>({ anyOf: [ref(ExitReport), ref(Change)] })
export const AppliedOrChange = Type.Unsafe<Static<typeof AppliedContext> | Static<typeof Change>>({
  anyOf: [ref(AppliedContext), ref(Change)]
})

import Type, { type Static } from 'typebox'
import { rlimitNames, type RlimitName } from '../vocabulary/rlimits.js'
import { AbsolutePath, nullable, openEnum, orNull, ref, Seconds, strict, Text, Timestamp, XID } from './common.js'
import { MigrateName, SignalName } from './names.js'

const Id = Type.Integer({ minimum: 0, maximum: 4_294_967_294 })

/** useradd(8) makes none that are longer. */
const accountName = '[^:,/\\u0000-\\u001f]{1,32}'

const Ids = strict({
  uid: Id,
  gid: Type.Optional(Id),
  groups: Type.Optional(
    Type.Array(Id, {
      maxItems: 64,
      description: "Supplementary groups. Without it those of the guest's /etc/group, or with gid none."
    })
  )
})
export type Ids = Static<typeof Ids>

export const User = Type.Unsafe<string | number | Ids>({
  $id: 'User',
  anyOf: [{ type: 'string', pattern: `^${accountName}(:${accountName})?$` }, Id, Ids],
  description:
    "USER or USER:GROUP, each a name or an id; a uid; or ids. What is not given comes from the guest's own /etc/passwd and /etc/group, HOME, USER, LOGNAME and SHELL too. An id without an entry there has gid 65534 and HOME=/. Default: uid and gid 0, HOME=/root.",
  examples: ['www-data', 'postgres:ssl-cert', 33, { uid: 33, gid: 33, groups: [4] }]
})

const Limit = Type.Unsafe<number | 'unlimited'>({
  anyOf: [{ type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, { const: 'unlimited' }]
})
const Rlimit = strict({ soft: Limit, hard: Limit })
const Rlimits = Type.Unsafe<Partial<Record<RlimitName, Static<typeof Rlimit>>>>(
  strict(Object.fromEntries(rlimitNames.map((name) => [name, Type.Optional(Rlimit)])), {
    description: 'Limits of setrlimit(2), in its units. None can be above the hard limit that guests have.',
    examples: [{ nofile: { soft: 1024, hard: 4096 } }]
  })
)

const command = {
  argv: Type.Array(Text(), {
    minItems: 1,
    maxItems: 1024,
    description: 'Program and arguments. A program without a slash is searched along PATH of env.'
  }),
  env: Type.Optional(
    Type.Record(Type.String({ pattern: '^[^=\\u0000]+$' }), Text(), {
      maxProperties: 1024,
      additionalProperties: false,
      description:
        'Added to PATH, HOME and TERM, which have defaults, and to what `user` brings. Nothing else is inherited.'
    })
  ),
  cwd: Type.Optional(AbsolutePath('Working directory inside the guest; default /.')),
  user: Type.Optional(ref(User)),
  umask: Type.Optional(
    Type.String({ pattern: '^0?[0-7]{1,3}$', description: 'In octal; default 022.', examples: ['027'] })
  ),
  rlimits: Type.Optional(Rlimits)
}

export const Command = strict(command, { $id: 'Command', description: 'A command to run in the guest.' })
export type Command = Static<typeof Command>

export const CAPTURE_LIMIT = 1_048_576

export const ProcessRequest = strict(
  {
    ...command,
    flags: Type.Optional(
      Type.Array(openEnum(MigrateName), {
        maxItems: 2,
        description: 'VXM names: SET_INIT makes the process the init of the context; SET_REAPER goes with it.'
      })
    ),
    capture: Type.Optional(
      Type.Boolean({
        description: `Wait for the end and return the output, at most ${CAPTURE_LIMIT} bytes of each stream.`
      })
    ),
    stdin: Type.Optional(Type.String({ description: 'Input of a captured process; default none.' })),
    timeout: Type.Optional(Seconds('After so many seconds the process and its group get SIGKILL; 0 is no limit.'))
  },
  {
    $id: 'StartProcessRequest',
    description: 'A process to start in the context.',
    examples: [{ argv: ['hostname'], capture: true, timeout: 10 }, { argv: ['sleep', '1000'] }]
  }
)
export type ProcessRequest = Static<typeof ProcessRequest>

const Pid = Type.Integer({ description: "Pid as the host sees it; an opaque handle where guests' pids are hidden." })

export const StartedProcess = strict(
  { pid: Pid, xid: XID },
  { $id: 'StartedProcess', description: 'A process that runs.' }
)

const OomKilled = nullable(
  Type.Boolean({ description: 'The kernel killed it for lack of memory; null where that cannot be known.' })
)

export const CapturedProcess = strict(
  {
    pid: Pid,
    exit_code: nullable(Type.Integer({ description: 'Null when a signal ended it.' })),
    term_signal: orNull(SignalName, 'Name of the signal that ended it.'),
    stdout: Type.String({ description: 'UTF-8; bytes that are not become U+FFFD.' }),
    stderr: Type.String({ description: 'UTF-8; bytes that are not become U+FFFD.' }),
    oom_killed: OomKilled,
    truncated: Type.Boolean({ description: 'A stream was longer than is kept.' }),
    timed_out: Type.Boolean()
  },
  { $id: 'CapturedProcess', description: 'A process that has ended, with its output.' }
)

export const ProcessParams = strict({ xid: XID, pid: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }) })
export const ProcessStatus = strict(
  {
    xid: XID,
    pid: Pid,
    running: Type.Boolean({ description: 'The rest is null while it does.' }),
    exit_code: nullable(Type.Integer({ description: 'Null when a signal ended it.' })),
    term_signal: orNull(SignalName, 'Name of the signal that ended it.'),
    raw_status: nullable(Type.Integer({ description: 'wait(2) status word.' })),
    oom_killed: OomKilled,
    ended_at: nullable(Type.String({ format: 'date-time', description: 'When its end was told of.' }))
  },
  { $id: 'ProcessStatus', description: 'A process of a context: that it runs, or how it has ended.' }
)

export const ProcessList = strict(
  {
    processes: Type.Array(
      strict({
        pid: Pid,
        ppid: Type.Integer(),
        nspid: Type.Integer({ description: "Pid in the guest's own numbering." }),
        comm: Type.String(),
        state: Type.String({ description: 'One letter, as in proc(5).' }),
        started_at: Timestamp('Start of the process.')
      })
    )
  },
  { $id: 'ProcessList', description: 'The processes of a context.' }
)

export const KillRequest = strict(
  {
    pid: Type.Optional(
      Type.Integer({
        minimum: -1,
        maximum: 2_147_483_647,
        description: '0, the default: every process; -1: every one but init; 1: init; else a pid of the context.'
      })
    ),
    signal: Type.Unsafe<string | number>({
      // The range of numbers is said by parseSignal, which knows what a signal is.
      anyOf: [{ type: 'string', maxLength: 16 }, { type: 'integer' }, ref(SignalName)],
      description: 'Name, with or without SIG, in any case, or number from 0 to 64; 0 only probes.',
      examples: ['SIGTERM', 15]
    })
  },
  {
    $id: 'KillRequest',
    description: 'Whom to send which signal.',
    examples: [{ signal: 'SIGTERM' }, { pid: 1, signal: 0 }]
  }
)

export const TaskParams = strict({ pid: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }) })
export const Task = strict(
  { pid: Type.Integer(), xid: Type.Integer({ description: '0: the host.' }) },
  { $id: 'Task', description: 'The context that a process of the host is in.' }
)

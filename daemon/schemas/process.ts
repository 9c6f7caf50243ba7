import Type, { type Static, type TSchema } from 'typebox'
import { AbsolutePath, nullable, openEnum, ref, Seconds, strict, Text, Timestamp, XID } from './common.js'
import { MigrateName, SignalName } from './names.js'

const Id = Type.Integer({ minimum: 0, maximum: 4_294_967_294 })

export const User = strict(
  {
    uid: Id,
    gid: Type.Optional(Id),
    groups: Type.Optional(Type.Array(Id, { maxItems: 64, description: 'Supplementary groups; default none.' }))
  },
  { $id: 'User', description: 'Numeric ids inside the guest. Default 0; gid defaults to uid.' }
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
      description: 'Added to PATH, HOME and TERM, which have defaults. Nothing else is inherited.'
    })
  ),
  cwd: Type.Optional(AbsolutePath('Working directory inside the guest; default /.')),
  user: Type.Optional(ref(User))
}

export const Command = strict(command, { $id: 'Command', description: 'A command to run in the guest.' })
export type Command = Static<typeof Command>

export const CAPTURE_LIMIT = 1_048_576

/** A name of a registered enum, or null; in the document any other text too. */
export const orNull = (schema: TSchema & { $id?: string }, description: string) =>
  Type.Unsafe<string | null>({ anyOf: [openEnum(schema), { type: 'null' }], description })

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

export const CapturedProcess = strict(
  {
    pid: Pid,
    exit_code: nullable(Type.Integer({ description: 'Null when a signal ended it.' })),
    term_signal: orNull(SignalName, 'Name of the signal that ended it.'),
    stdout: Type.String({ description: 'UTF-8; bytes that are not become U+FFFD.' }),
    stderr: Type.String({ description: 'UTF-8; bytes that are not become U+FFFD.' }),
    truncated: Type.Boolean({ description: 'A stream was longer than is kept.' }),
    timed_out: Type.Boolean()
  },
  { $id: 'CapturedProcess', description: 'A process that has ended, with its output.' }
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
      anyOf: [{ type: 'string', maxLength: 16 }, { type: 'integer', minimum: 0, maximum: 64 }, ref(SignalName)],
      description: 'Name, with or without SIG, in any case, or number; 0 only probes.',
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

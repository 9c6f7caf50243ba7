/** The schemas that replies refer to by name; OpenAPI shows them as components. */
import type { TSchema } from 'typebox'
import { AuditLine, AuditPage } from './audit.js'
import { Change } from './common.js'
import { AppliedContext, Context, ContextList, CreatedContext, ExitReport, Info, StatReply } from './context.js'
import { Health, Home, Ready, Version, Vocabulary } from './host.js'
import { ChangedLimits, Limits } from './limits.js'
import { Problem } from './problem.js'
import { CapturedProcess, ProcessList, ProcessStatus, StartedProcess, Task } from './process.js'
import { ChangedUname, ChangedUnameField, Uname, UnameFieldReply } from './uname.js'
import { ChangedFlagsWord, ChangedWord, FlagsWord, Word } from './word.js'

export const components: TSchema[] = [
  Problem,
  Change,
  Word,
  FlagsWord,
  ChangedWord,
  ChangedFlagsWord,
  Uname,
  ChangedUname,
  UnameFieldReply,
  ChangedUnameField,
  Limits,
  ChangedLimits,
  Context,
  AppliedContext,
  CreatedContext,
  ContextList,
  ExitReport,
  Info,
  StatReply,
  StartedProcess,
  CapturedProcess,
  ProcessStatus,
  ProcessList,
  Task,
  Home,
  Version,
  Health,
  Ready,
  Vocabulary,
  AuditLine,
  AuditPage
]

/** The schemas that others refer to by name; OpenAPI shows them as components. */
import type { TSchema } from 'typebox'
import { AuditLine, AuditPage } from './audit.js'
import { Change } from './common.js'
import {
  AppliedContext,
  Context,
  ContextBody,
  ContextList,
  CreateBody,
  CreatedContext,
  ExitReport,
  Info,
  StatReply
} from './context.js'
import { eventComponents } from './event.js'
import { Health, Home, Ready, Version, Vocabulary } from './host.js'
import { ChangedLimits, Limits, LimitsInput, LimitsPatch } from './limits.js'
import {
  BcapName,
  CcapName,
  FlagName,
  LimitFieldName,
  MigrateName,
  RebootCommand,
  SignalName,
  UnameFieldName
} from './names.js'
import { Problem, ProblemType } from './problem.js'
import {
  CapturedProcess,
  Command,
  KillRequest,
  ProcessList,
  ProcessRequest,
  ProcessStatus,
  StartedProcess,
  Task,
  User
} from './process.js'
import { ChangedUname, ChangedUnameField, Uname, UnameFieldReply, UnameInput, UnamePatch, UnameValue } from './uname.js'
import { Word, words } from './word.js'

export const components: TSchema[] = [
  ProblemType,
  Problem,
  FlagName,
  BcapName,
  CcapName,
  MigrateName,
  SignalName,
  UnameFieldName,
  LimitFieldName,
  RebootCommand,
  Change,
  Word,
  ...Object.values(words).flatMap(({ Word, Changed, Replace, Change }) => [Word, Changed, Replace, Change]),
  Uname,
  UnameInput,
  UnamePatch,
  UnameValue,
  ChangedUname,
  UnameFieldReply,
  ChangedUnameField,
  Limits,
  LimitsInput,
  LimitsPatch,
  ChangedLimits,
  User,
  Command,
  CreateBody,
  ContextBody,
  Context,
  AppliedContext,
  CreatedContext,
  ContextList,
  ExitReport,
  Info,
  StatReply,
  ProcessRequest,
  StartedProcess,
  CapturedProcess,
  ProcessStatus,
  ProcessList,
  KillRequest,
  Task,
  ...eventComponents,
  Home,
  Version,
  Health,
  Ready,
  Vocabulary,
  AuditLine,
  AuditPage
]

import { finished } from 'node:stream/promises'
import Type from 'typebox'
import { decodeStatus } from '../contexts/exit-reports.js'
import { processExit } from '../contexts/process-reports.js'
import type { Migrated } from '../drivers/driver.js'
import { CallError, whileThere } from '../drivers/errors.js'
import { hold } from '../plugins/admission.js'
import { answer, IdempotencyKey, IfMatch, ref, XidParams } from '../schemas/common.js'
import { problems } from '../schemas/problem.js'
import {
  CapturedProcess,
  KillRequest,
  ProcessList,
  ProcessParams,
  ProcessRequest,
  ProcessStatus,
  StartedProcess,
  Task,
  TaskParams
} from '../schemas/process.js'
import { parseSignal } from '../vocabulary/signals.js'
import { capturedText, SHORT_OUTPUT } from './captured.js'
import { answerOnce } from './once.js'
import { unlessStopping, writeOf, type App, type Resources } from './types.js'

const tags = ['processes']

/** /contexts/:xid/processes, /contexts/:xid/kill and /tasks/:pid. */
export function processRoutes(app: App, { contexts, driver, idempotency, stopping }: Resources): void {
  app.post('/contexts/:xid/processes', {
    config: { action: 'execute' },
    schema: {
      summary: 'Start a process in the context',
      description:
        'vx_migrate and exec. Without `capture` the answer is 201 when exec has succeeded; input is /dev/null, output goes to the log of the context. With `capture` it is 200 when the process has ended, with its output. With SET_INIT it becomes the init of a context that has none.',
      operationId: 'vx_migrate',
      tags,
      params: XidParams,
      headers: Type.Object({ ...IfMatch.properties, ...IdempotencyKey.properties }),
      body: ref(ProcessRequest),
      response: {
        200: answer(ref(CapturedProcess), 'With `capture`: it has ended.'),
        201: answer(ref(StartedProcess), 'Without `capture`: it runs.'),
        ...problems
      }
    },
    handler: async (request, reply) => {
      const { xid } = request.params
      const start = async () => {
        const release = request.body.capture ? hold(request, 'captures') : undefined
        return unlessStopping(contexts.startProcess(xid, request.body, writeOf(request)).finally(release), stopping)
      }
      const endOf = ({ pid, captured: { status, oomKilled, truncated, timedOut } }: Required<Migrated>) => ({
        pid,
        ...decodeStatus(status),
        oom_killed: oomKilled,
        truncated,
        timed_out: timedOut
      })
      if (request.headers['idempotency-key'] !== undefined)
        return answerOnce(idempotency, request, reply, async () => {
          const { pid, captured } = await start()
          if (!captured) return { status: 201, json: JSON.stringify({ pid, xid }) }
          const [stdout, stderr] = [captured.stdout.toString(), captured.stderr.toString()]
          captured.release?.()
          return { status: 200, json: JSON.stringify({ ...endOf({ pid, captured }), stdout, stderr }) }
        })
      const { pid, captured } = await start()
      if (!captured) return reply.code(201).send({ pid, xid })
      const { stdout, stderr, release: letGo } = captured
      if (letGo) void finished(reply.raw).then(letGo, letGo)
      const ended = endOf({ pid, captured })
      if (stdout.length + stderr.length <= SHORT_OUTPUT)
        return reply.send({ ...ended, stdout: stdout.toString(), stderr: stderr.toString() })
      void reply.type('application/json; charset=utf-8')
      return reply.send(capturedText(ended, stdout, stderr) as never)
    }
  })

  app.get('/contexts/:xid/processes', {
    config: { action: 'read' },
    schema: {
      summary: 'List the processes of the context',
      operationId: 'list_processes',
      tags,
      params: XidParams,
      response: { 200: ref(ProcessList), ...problems }
    },
    handler: async (request) => ({ processes: await driver.processes(request.params.xid) })
  })

  app.get('/contexts/:xid/processes/:pid', {
    config: { action: 'read' },
    schema: {
      summary: 'Get a process, or how it has ended',
      description: 'How a process that was started here has ended is known for ten minutes, of the last 4,096.',
      operationId: 'get_process',
      tags,
      params: ProcessParams,
      response: { 200: ref(ProcessStatus), ...problems }
    },
    handler: async ({ params: { xid, pid }, access }) => {
      const report = await contexts.process(xid, pid, access)
      if (report) return { ...processExit(xid, report), running: false, ended_at: new Date(report.at).toISOString() }
      const unknown = { exit_code: null, term_signal: null, raw_status: null, oom_killed: null, ended_at: null }
      return { xid, pid, running: true, ...unknown }
    }
  })

  app.post('/contexts/:xid/kill', {
    config: { action: 'signal' },
    schema: {
      summary: 'Signal one or more processes',
      description: 'vx_kill',
      operationId: 'vx_kill',
      tags,
      params: XidParams,
      headers: Type.Object({ ...IfMatch.properties, ...IdempotencyKey.properties }),
      body: ref(KillRequest),
      response: { 204: Type.Null({ description: 'Sent.' }), ...problems }
    },
    handler: (request, reply) =>
      answerOnce(idempotency, request, reply, async () => {
        const { pid, signal } = request.body
        await contexts.kill(request.params.xid, pid ?? 0, parseSignal(signal), writeOf(request))
        return { status: 204 }
      })
  })

  app.get('/tasks/:pid', {
    config: { action: 'read' },
    schema: {
      summary: 'Get the context of a process',
      description: 'vx_task_xid. pid is a pid of the host; 0 is the daemon itself.',
      operationId: 'vx_task_xid',
      tags,
      params: TaskParams,
      response: { 200: ref(Task), ...problems }
    },
    handler: async ({ params: { pid }, access }) => {
      if (access.mayAll('read')) return { pid, xid: driver.vx_task_xid(pid) }
      const xid = whileThere(() => driver.vx_task_xid(pid))
      // The host's /proc shows its own processes to everybody.
      if (xid === undefined || (xid !== 0 && !access.may('read', xid)))
        throw new CallError('ESRCH', 'vx_task_xid', `there is no process ${pid}`)
      return { pid, xid }
    }
  })
}

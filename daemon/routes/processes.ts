import Type from 'typebox'
import { decodeStatus } from '../contexts/exit-reports.js'
import { CallError, whileThere } from '../drivers/errors.js'
import { hold } from '../plugins/admission.js'
import { ref, XidParams } from '../schemas/common.js'
import { problems } from '../schemas/problem.js'
import {
  CapturedProcess,
  KillRequest,
  ProcessList,
  ProcessRequest,
  StartedProcess,
  Task,
  TaskParams
} from '../schemas/process.js'
import { parseSignal } from '../vocabulary/signals.js'
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
        'vx_migrate and exec. Without `capture` it runs on its own, with no input and no output. With SET_INIT it becomes the init of a context that has none.',
      operationId: 'vx_migrate',
      tags,
      params: XidParams,
      body: ProcessRequest,
      response: { 200: ref(CapturedProcess), 201: ref(StartedProcess), ...problems }
    },
    handler: (request, reply) =>
      answerOnce(idempotency, request, reply, async () => {
        const { xid } = request.params
        const release = request.body.capture ? hold(request, 'captures') : undefined
        const running = contexts.startProcess(xid, request.body, writeOf(request)).finally(release)
        const { pid, captured } = await unlessStopping(running, stopping)
        if (!captured) return { status: 201, json: JSON.stringify({ pid, xid }) }
        const { status, stdout, stderr, truncated, timedOut } = captured
        const ended = { pid, ...decodeStatus(status), stdout, stderr, truncated, timed_out: timedOut }
        return { status: 200, json: JSON.stringify(ended) }
      })
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

  app.post('/contexts/:xid/kill', {
    config: { action: 'signal' },
    schema: {
      summary: 'Signal one or more processes',
      description: 'vx_kill',
      operationId: 'vx_kill',
      tags,
      params: XidParams,
      body: KillRequest,
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

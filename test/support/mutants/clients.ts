/** Bugs in what clients may take, learn and rely on. */
import type { Mutant } from './table.js'

export const clients: Mutant[] = [
  {
    name: 'events are for who has the xid now',
    where: 'daemon/routes/events.ts',
    find: "access.may('read', event.xid, event.owner)",
    replace: "access.may('read', event.xid)",
    tests: ['e2e/unreadable']
  },
  {
    name: 'a reader who may create is told that the context exists',
    where: 'daemon/policy/access.ts',
    find: "    if (this.may('read', xid)) return this.denied('configure', xid)\n",
    replace: '',
    tests: ['e2e/unreadable']
  },
  {
    name: 'half of the slots is rounded down',
    where: 'daemon/admission/slots.ts',
    find: 'Math.ceil(limit / 2)',
    replace: 'Math.floor(limit / 2)',
    tests: ['admission/slots']
  },
  {
    name: 'a slot is given back twice',
    where: 'daemon/admission/slots.ts',
    find: '      if (!isHeld) return\n',
    replace: '      if (!isHeld && uid < 0) return\n',
    tests: ['admission/slots']
  },
  {
    name: 'root has no slots of its own',
    where: 'daemon/admission/slots.ts',
    find: 'if (others >= this.limit - this.#reserved)',
    replace: 'if (others >= this.limit + 0 * this.#reserved)',
    tests: ['admission/slots']
  },
  {
    name: 'the audit log is never synced',
    where: 'daemon/audit/file.ts',
    find: '    this.#size = start + data.length\n    this.#syncSoon()\n',
    replace: '    this.#size = start + data.length\n',
    tests: ['audit/sync']
  },
  {
    name: 'If-Match takes weak tags',
    where: 'daemon/plugins/preconditions.ts',
    find: 'tagsOf(header).includes(etag)',
    replace: "tagsOf(header.replaceAll('W/', '')).includes(etag)",
    tests: ['plugins/preconditions']
  },
  {
    name: '429 does not say when to come back',
    where: 'daemon/plugins/problems.ts',
    find: 'status === 503 || status === 429',
    replace: 'status === 503',
    tests: ['audit/flood']
  },
  {
    name: 'a follower leaves at the end of the log',
    where: 'daemon/logs/files.ts',
    find: 'if (!query.follow || (isOver && ++quiet > LAST_LOOKS)) return',
    replace: 'if (!query.follow || (isOver && ++quiet > 0 * LAST_LOOKS)) return',
    tests: ['logs/files']
  },
  {
    name: 'since leaves its own line out',
    where: 'daemon/logs/lines.ts',
    find: "line.toString('latin1', 0, TIME_SIZE) >= from",
    replace: "line.toString('latin1', 0, TIME_SIZE) > from",
    tests: ['logs/files']
  },
  {
    name: 'the watchdog is told at the full interval',
    where: 'daemon/service/watchdog.ts',
    find: 'manager.watchdogMs / 2',
    replace: 'manager.watchdogMs',
    tests: ['service/watchdog']
  },
  {
    name: 'refusals with 404 are not throttled',
    where: 'daemon/plugins/audit.ts',
    find: "(isWrite(request) && problem?.type !== 'audit')) denials",
    replace: '(isWrite(request) && problem?.status === 429)) denials',
    tests: ['audit/flood']
  },
  {
    name: 'a hang-up is a failure',
    where: 'daemon/plugins/problems.ts',
    find: ' && !reply.raw.destroyed',
    replace: '',
    tests: ['audit/flood']
  },
  {
    name: 'a process with a key is started again',
    where: 'daemon/routes/once.ts',
    find: "headers['idempotency-key'], peer.uid",
    replace: "url.startsWith('/contexts/') ? undefined : headers['idempotency-key'], peer.uid",
    tests: ['contexts/idempotency']
  },
  {
    name: 'what is under way with a key is forgotten',
    where: 'daemon/contexts/idempotency.ts',
    find: '      if (isDone) this.#forget(uid, key)\n    }\n  }\n\n  #forget',
    replace: "      if (isDone || key !== '') this.#forget(uid, key)\n    }\n  }\n\n  #forget",
    tests: ['contexts/idempotency']
  },
  {
    name: 'If-None-Match is not asked again under the lock',
    where: 'daemon/contexts/contexts.ts',
    find: '      if (exists && write.mustBeNew) throw notNew(xid)\n',
    replace: '      if (exists && write.mustBeNew && xid === 0) throw notNew(xid)\n',
    tests: ['plugins/preconditions']
  },
  {
    name: 'If-Match tells the tag to who may not read',
    where: 'daemon/plugins/preconditions.ts',
    find: "else if (!request.access.may('read', xid)) done(request.access.lacks('read', xid))",
    replace: '',
    tests: ['e2e/unreadable']
  },
  {
    name: 'an xid of another is asked of the driver',
    where: 'daemon/contexts/ending.ts',
    find: '    if (noted !== asker && kept !== asker) return undefined\n',
    replace: '    if (noted !== asker && kept !== asker && xid === 0) return undefined\n',
    tests: ['e2e/unreadable']
  },
  {
    name: 'any IPv6 address is ours',
    where: 'daemon/plugins/hosts.ts',
    find: '!/[.[]/.test(name)',
    replace: '!/[.]/.test(name)',
    tests: ['plugins/hosts']
  },
  {
    name: 'a page of the same site is ours',
    where: 'daemon/plugins/hosts.ts',
    find: "site === 'same-origin' || site === 'none'",
    replace: "site !== 'cross-site'",
    tests: ['plugins/hosts']
  },
  {
    name: 'a half-closed client is cut off',
    where: 'daemon/plugins/half-open.ts',
    find: 'server.httpAllowHalfOpen = true',
    replace: 'server.httpAllowHalfOpen = false',
    tests: ['e2e/half-open']
  },
  {
    name: 'a half-closed client that goes is not noticed',
    where: 'daemon/plugins/half-open.ts',
    find: 'for (const socket of halves) if (hasHungUp(socket)) socket.destroy()',
    replace: '',
    tests: ['e2e/half-open']
  },
  {
    name: 'bytes that are no UTF-8 are replaced',
    where: 'daemon/plugins/text.ts',
    find: 'fatal: true',
    replace: 'fatal: false',
    tests: ['plugins/text']
  },
  {
    name: 'a part of a line splits a character',
    where: 'native/launcher/log',
    find: 'return length > back ? back : 0;',
    replace: 'return length > back + 3 ? back : 0;',
    tests: ['e2e/log']
  },
  {
    name: 'a log that was renamed comes again',
    where: 'daemon/logs/files.ts',
    find: 'isLast(piece) || seen.has(piece.id)',
    replace: "isLast(piece) || seen.has('')",
    tests: ['e2e/log-limits']
  },
  {
    name: 'files of a log have no numbers',
    where: 'native/launcher/log',
    find: 'if (!is_there) number();',
    replace: 'if (!is_there && limit_ == 0) number();',
    tests: ['e2e/log-limits']
  },
  {
    name: 'a start that is refused leaves its lock',
    where: 'daemon/service/socket.ts',
    find: '    unlinkSync(lock.path) // while it is held\n',
    replace: '',
    tests: ['e2e/socket-file']
  }
]

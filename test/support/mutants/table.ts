/** Small bugs, each of which some test has to notice. A text stands once below `where`; moving code does not matter. */
import { clients } from './clients.js'

export interface Mutant {
  /** What goes wrong, in a few words. */
  name: string
  /** A file, or a directory that has the text in one place. */
  where: string
  find: string
  replace: string
  /** Those that should notice, below test/ and without .test.js; the likeliest first. */
  tests: string[]
}

const launcher: Mutant[] = [
  {
    name: 'umask of the daemon is the guest’s',
    where: 'native/launcher',
    find: '  umask(spec.mask);\n',
    replace: '',
    tests: ['e2e/inherited', 'e2e/guest']
  },
  {
    name: 'signals stay blocked',
    where: 'native/launcher',
    find: '  sigprocmask(SIG_SETMASK, &none, nullptr);\n}',
    replace: '}',
    tests: ['e2e/inherited', 'e2e/guest']
  },
  {
    name: 'SIGPIPE stays ignored',
    where: 'native/launcher',
    find: '  signal(SIGPIPE, SIG_DFL);\n',
    replace: '',
    tests: ['e2e/inherited', 'e2e/guest']
  },
  {
    name: 'the ambient set stays',
    where: 'native/launcher',
    find: '  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return {errno, "prctl", "PR_CAP_AMBIENT"};\n',
    replace: '',
    tests: ['e2e/inherited', 'e2e/guest']
  },
  {
    name: 'the inheritable set stays',
    where: 'native/launcher',
    find: '    caps[i].inheritable &= allowed;\n',
    replace: '',
    tests: ['e2e/inherited', 'e2e/guest']
  },
  {
    name: 'the permitted set stays',
    where: 'native/launcher',
    find: '    caps[i].permitted &= allowed;\n',
    replace: '',
    tests: ['conformance/namespaces', 'e2e/guest']
  },
  {
    name: 'the bounding set stays',
    where: 'native/launcher',
    find: 'if (left & ~bcaps & (uint64_t{1} << cap) &&',
    replace: 'if (left & 0 & ~bcaps & (uint64_t{1} << cap) &&',
    tests: ['conformance/namespaces', 'e2e/guest']
  },
  {
    name: 'supplementary groups of the daemon stay',
    where: 'native/launcher',
    find: 'if (setgroups(spec.group_count, spec.groups) < 0) return {errno, "setgroups", ""};',
    replace: '',
    tests: ['conformance/namespaces', 'e2e/guest']
  },
  {
    name: 'a joining process is dumpable',
    where: 'native/launcher',
    find: '  if (prctl(PR_SET_DUMPABLE, 0) < 0) return {errno, "prctl", "PR_SET_DUMPABLE"};\n',
    replace: '',
    tests: ['e2e/containment', 'e2e/hostile-guest']
  },
  {
    name: 'descriptors reach the guest',
    where: 'native/launcher',
    find: '  if (int err = close_from(3, true)) return {err, "close_range", ""};\n',
    replace: '',
    tests: ['e2e/guest', 'e2e/containment']
  },
  {
    name: 'oom_score_adj of the daemon is the guest’s',
    where: 'native/launcher',
    find: 'ssize_t ignored = write(score, "0", 1);',
    replace: 'ssize_t ignored = write(score, "", 0);',
    tests: ['e2e/guest', 'e2e/launchers']
  },
  {
    name: 'RLIMIT_NICE of the daemon is the guest’s',
    where: 'native/launcher',
    find: 'for (auto resource : {RLIMIT_NICE, RLIMIT_RTPRIO}) {',
    replace: 'for (auto resource : {RLIMIT_RTPRIO}) {',
    tests: ['e2e/guest', 'e2e/launchers']
  },
  {
    name: 'the soft limit of descriptors is the daemon’s',
    where: 'native/launcher',
    find: 'files.rlim_cur > default_soft_files) {',
    replace: 'false) {',
    tests: ['e2e/guest', 'e2e/launchers']
  },
  {
    name: 'a reaper becomes init with more than bcaps',
    where: 'native/launcher',
    find: '  if (!holds_exactly(spec.bcaps)) return {EPERM, "prctl", "bcaps have changed since the context\'s first process"};\n',
    replace: '',
    tests: ['e2e/reaper']
  },
  {
    name: 'a reaper never ends',
    where: 'native/launcher',
    find: '    if (is_alone && was_alone && n == 0) _exit(0);\n',
    replace: '',
    tests: ['conformance/namespaces']
  },
  {
    name: 'a link in a guest is followed where a mount goes',
    where: 'native/launcher',
    find: 'how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;',
    replace: 'how.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;',
    tests: ['e2e/containment']
  },
  {
    name: 'a link in a guest is followed where a cover goes',
    where: 'native/launcher',
    find: 'how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT;',
    replace: 'how.resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT;',
    tests: ['e2e/containment']
  },
  {
    name: 'kpagecount is not masked',
    where: 'native/launcher',
    find: '"/proc/kpagecount", ',
    replace: '',
    tests: ['e2e/guest', 'e2e/containment']
  },
  {
    name: 'kpagecgroup is not masked',
    where: 'native/launcher',
    find: '"/proc/kpagecgroup", ',
    replace: '',
    tests: ['e2e/guest', 'e2e/containment']
  },
  {
    name: 'cgroup trees of the host are not covered',
    where: 'native/launcher',
    find: 'if (!c->failed.code && is_cgroup(listed.type)) c->failed',
    replace: 'if (false) c->failed',
    tests: ['e2e/guest', 'e2e/containment']
  },
  {
    name: 'a captured stream has no bound',
    where: 'native/launcher',
    find: '  if (n > limit - s->size) {\n',
    replace: '  if (false) {\n',
    tests: ['conformance/namespaces', 'e2e/capture']
  },
  {
    name: 'a timeout kills the process alone',
    where: 'native/launcher',
    find: '    kill(-child.pid, SIGKILL);\n',
    replace: '    kill(child.pid, SIGKILL);\n',
    tests: ['e2e/capture']
  },
  {
    name: 'a rotated log loses its first file',
    where: 'native/launcher',
    find: 'for (unsigned number = files_ - 1; number > 0; number--) {',
    replace: 'for (unsigned number = files_ - 1; number > 1; number--) {',
    tests: ['e2e/log', 'e2e/log-limits']
  },
  {
    name: 'lines of a full disk are lost without a word',
    where: 'native/launcher',
    find: '  if (lost_ == 0) return true;\n  char text[160];\n  timespec now;\n',
    replace: '  if (true) return true;\n  char text[160];\n  timespec now;\n',
    tests: ['e2e/log-limits', 'e2e/log']
  },
  {
    name: 'a log belongs to whoever came last',
    where: 'native/launcher',
    find: 'if (is_later(theirs, owner_)) return errno = ESTALE, false;',
    replace: '',
    tests: ['e2e/log', 'e2e/log-limits']
  }
]

const native: Mutant[] = [
  {
    name: 'SIGKILL stands in for any signal to init',
    where: 'native/namespaces',
    find: 'if (ends.value) {',
    replace: 'if (true) {',
    tests: ['conformance/namespaces', 'e2e/namespaces', 'e2e/restart']
  },
  {
    name: 'init survives a signal that would end it',
    where: 'native/namespaces',
    find: '      sig = SIGKILL;\n',
    replace: '',
    tests: ['conformance/namespaces']
  },
  {
    name: 'a pid is signalled whatever its context',
    where: 'native/namespaces',
    find: '  if (member.code) return member;\n',
    replace: '',
    tests: ['conformance/namespaces']
  },
  {
    name: 'processes in cgroups of the guest’s own get no signal',
    where: 'native/namespaces',
    find: '    if (!at->is_directory(ignored)) continue;\n',
    replace: '    continue;\n',
    tests: ['e2e/namespaces', 'e2e/restart', 'e2e/containment']
  },
  {
    name: 'a peer that has ended is served',
    where: 'native/namespaces',
    find: 'return n < 0 ? failed("poll") : ok(n == 0 ? 1 : 0);',
    replace: 'return n < 0 ? failed("poll") : ok(1);',
    tests: ['native/host', 'e2e/socket', 'service/peer']
  },
  {
    name: 'a swapped root is followed by a link',
    where: 'native/namespaces/spawn.cc',
    find: 'how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;',
    replace: 'how.resolve = RESOLVE_NO_MAGICLINKS;',
    tests: ['conformance/namespaces', 'e2e/containment']
  },
  {
    name: 'nr_uninterruptible and nr_onhold swapped',
    where: 'native/addon/vserver.cc',
    find: 'data.nr_running, data.nr_uninterruptible,',
    replace: 'data.nr_running, data.nr_onhold,',
    tests: ['e2e/uninterruptible']
  },
  {
    name: 'vx_info tells the xid for the init',
    where: 'native/addon/vserver.cc',
    find: 'return Napi::Number::New(info.Env(), data.initpid);',
    replace: 'return Napi::Number::New(info.Env(), data.xid);',
    tests: ['conformance/vserver']
  },
  {
    name: 'a name of 65 bytes is not terminated',
    where: 'native/vserver',
    find: "  name[name_size - 1] = '\\0';\n",
    replace: '',
    tests: ['native/vserver', 'e2e/vserver-faults']
  }
]

const namespaces: Mutant[] = [
  {
    name: 'STATE_* may be set again',
    where: 'daemon/drivers/rules.ts',
    find: 'return replaceBits(word, data) & (~STATE_BITS | word)',
    replace: 'return replaceBits(word, data)',
    tests: ['conformance/memory', 'conformance/namespaces']
  },
  {
    name: 'a lone init without STATE_ADMIN gets SIGINT',
    where: 'daemon/drivers/rules.ts',
    find: 'return flags & STATE_ADMIN || processes <= 1 ? signal : SIGINT',
    replace: 'return flags & STATE_ADMIN ? signal : SIGINT',
    tests: ['conformance/memory', 'conformance/namespaces']
  },
  {
    name: 'INFO_PRIVATE closes nothing',
    where: 'daemon/drivers/rules.ts',
    find: 'if (flags & INFO_PRIVATE && !(flags & STATE_SETUP))',
    replace: 'if (false)',
    tests: ['conformance/memory']
  },
  {
    name: 'STATE_SETUP comes back beside a running process',
    where: 'daemon/drivers/namespaces',
    find: 'const restored = somebodyRuns ? before & ~STATE_SETUP : before',
    replace: 'const restored = before',
    tests: ['conformance/namespaces']
  },
  {
    name: 'a taken over context is not frozen',
    where: 'daemon/drivers/namespaces/adoption.ts',
    find: 'setFrozen(context.path, context.paused)',
    replace: 'void 0',
    tests: ['e2e/restart']
  },
  {
    name: 'places of the fork counter leak',
    where: 'daemon/drivers/namespaces/lives.ts',
    find: 'if (context.forks) this.#forks?.forget(context.forks)\n',
    replace: '\n',
    tests: ['e2e/fork-slots']
  },
  {
    name: 'state D is no load',
    where: 'daemon/drivers/namespaces/load.ts',
    find: "state === 'R' || state === 'D'",
    replace: "state === 'R'",
    tests: ['e2e/uninterruptible']
  },
  {
    name: 'kill -1 reaches the reaper',
    where: 'daemon/drivers/namespaces/signals.ts',
    find: 'pid === -1 ? init || reaper : reaper',
    replace: 'pid === -1 ? init : reaper',
    tests: ['conformance/namespaces']
  },
  {
    name: 'a half-made context is taken over',
    where: 'daemon/drivers/namespaces/context.ts',
    find: 'if (stored.created_at === undefined) return false',
    replace: '',
    tests: ['e2e/restart', 'e2e/killed']
  },
  {
    name: 'the reboot command of the last run stays',
    where: 'daemon/drivers/namespaces/context.ts',
    find: '    this.hadInit = false\n    this.rebootCmd = 0\n',
    replace: '    this.hadInit = false\n',
    tests: ['e2e/flags', 'e2e/restart']
  },
  {
    name: 'a later task’s end is the context’s, init or not',
    where: 'daemon/drivers/namespaces/context.ts',
    find: 'if (!this.hadInit && !this.rebootCmd) this.lastEnd = end',
    replace: 'this.lastEnd = end',
    tests: ['conformance/namespaces', 'e2e/namespaces', 'e2e/reaper']
  },
  {
    name: 'a context with SC_HELPER is not told of its end',
    where: 'daemon/drivers/namespaces/lives.ts',
    find: "if (context.announced) this.#tellHelper(context, 'shutdown')",
    replace: '',
    tests: ['e2e/helper']
  },
  {
    name: 'an end is told twice',
    where: 'daemon/drivers/namespaces/lives.ts',
    find: '    if (!context.hasGuest) return\n    context.hasGuest = false\n',
    replace: '    if (!context.hasGuest) return\n',
    tests: ['e2e/events', 'e2e/reaper']
  },
  {
    name: 'a limit stays when its flag goes',
    where: 'daemon/drivers/namespaces/limits.ts',
    find: 'if (value !== null && (flags & bit) !== 0n)',
    replace: 'if (value !== null)',
    tests: ['e2e/limits']
  },
  {
    name: 'a start goes on in a paused context',
    where: 'daemon/drivers/namespaces/starts.ts',
    find: "  rules.requireUnpaused(context.flags, context.xid, 'vx_migrate')\n",
    replace: '',
    tests: ['conformance/namespaces']
  }
]

const vserver: Mutant[] = [
  {
    name: 'the guest keeps STATE_SETUP',
    where: 'native/launcher',
    find: '{closed, spec.clears | closed}',
    replace: '{closed | spec.clears, spec.clears | closed}',
    tests: ['conformance/vserver']
  },
  {
    name: 'guest code runs before the setup is over',
    where: 'native/launcher',
    find: '  if (!failed.code && spec.clears) {\n',
    replace: '  if (false) {\n',
    tests: ['conformance/vserver']
  },
  {
    name: 'a context whose creation failed stays',
    where: 'native/launcher',
    find: '  if (made) vserver::set_cflags(spec.xid, {0, persistent});\n',
    replace: '',
    tests: ['e2e/vserver-faults']
  },
  {
    name: 'PERSISTENT counts as a process',
    where: 'daemon/drivers/vserver',
    find: 'tasks > (flags & PERSISTENT ? 1 : 0)',
    replace: 'tasks > 0',
    tests: ['conformance/vserver']
  },
  {
    name: 'zombies are listed as processes',
    where: 'daemon/drivers/vserver',
    find: '.filter(({ state }) => !hasEnded.includes(state))',
    replace: '',
    tests: ['conformance/vserver', 'e2e/vserver-restart', 'e2e/vserver-waits']
  },
  {
    name: 'ESRCH and EBUSY of a creation are one',
    where: 'daemon/drivers/vserver',
    find: "error.call === 'ctx_create' && error.code === 'EBUSY' ? 'EEXIST'",
    replace: "error.call === 'ctx_create' && error.code === 'EBUSY' ? 'ESRCH'",
    tests: ['e2e/vserver-faults', 'e2e/vserver-restart']
  },
  {
    name: 'half-made contexts stay',
    where: 'daemon/drivers/vserver',
    find: '  if (records.of(xid, born).settled) return\n  removeNow(xid)\n',
    replace: '',
    tests: ['e2e/vserver-restart', 'e2e/vserver-faults', 'e2e/killed']
  }
]

const http: Mutant[] = [
  {
    name: 'If-Match takes any tag',
    where: 'daemon/plugins/preconditions.ts',
    find: 'if (!matches(match, etag)) return changed(xid, etag)',
    replace: "if (!matches(match, etag) && etag === '') return changed(xid, etag)",
    tests: ['plugins/preconditions', 'conformance/memory']
  },
  {
    name: 'exponents are taken',
    where: 'daemon/plugins/text.ts',
    find: '  refuseExponents(text)\n  if',
    replace: "  if (text === '') refuseExponents(text)\n  if",
    tests: ['plugins/validation', 'conformance/memory', 'e2e/bad-input']
  },
  {
    name: 'a floods of 429 is written line by line',
    where: 'daemon/plugins/audit.ts',
    find: "(isWrite(request) && problem?.type !== 'audit')) denials.note(recordOf(request, reply))",
    replace:
      '(isWrite(request) && problem?.status !== 429)) denials.note(recordOf(request, reply))\n    else if (isWrite(request)) log.append(recordOf(request, reply))',
    tests: ['e2e/admission']
  },
  {
    name: 'a write without its line is 200',
    where: 'daemon/plugins/audit.ts',
    find: "done(null, isWritten || log.onFailure === 'continue' ? payload : unwritten(reply))",
    replace: 'done(null, payload)',
    tests: ['audit/disk']
  },
  {
    name: 'reads are written to the audit log',
    where: 'daemon/plugins/audit.ts',
    find: "action !== undefined && action !== 'read'",
    replace: 'action !== undefined',
    tests: ['audit/log', 'audit/route', 'conformance/memory']
  },
  {
    name: 'a reader that reads is cut off',
    where: 'daemon/plugins/send-timeout.ts',
    find: 'writableLength > 0 && done === seen.written ?',
    replace: 'writableLength > 0 ?',
    tests: ['e2e/admission', 'e2e/events']
  },
  {
    name: 'the rest of a body has no bound',
    where: 'daemon/plugins/unread.ts',
    find: 'if (left < 0) socket.destroy()',
    replace: '',
    tests: ['e2e/admission']
  },
  {
    name: 'the lock is not asked again for access',
    where: 'daemon/contexts',
    find: "      write.access.check('destroy', xid)\n",
    replace: '',
    tests: ['e2e/policy']
  },
  {
    name: 'DELETE forgets the grace',
    where: 'daemon/contexts',
    find: 'if (!(await within(gone, graceMs))) await',
    replace: 'if (!(await within(gone, 0))) await',
    tests: ['conformance/memory']
  },
  {
    name: 'DELETE without grace lets a paused context go on',
    where: 'daemon/contexts',
    find: 'if (isPaused(this.#driver, flags) && graceMs > 0) {',
    replace: 'if (isPaused(this.#driver, flags)) {',
    tests: ['conformance/memory']
  }
]

export const mutants: readonly Mutant[] = [...launcher, ...native, ...namespaces, ...vserver, ...http, ...clients]

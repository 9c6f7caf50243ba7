#include "enter.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

#include "../../vserver/commands.h"
#include "../children/capture.h"
#include "../children/child.h"
#include "../children/start.h"
#include "../log/log.h"
#include "../process/account.h"
#include "../process/command.h"
#include "../process/descriptors.h"
#include "../process/privileges.h"
#include "../process/seccomp.h"
#include "../process/status_pipe.h"
#include "../protocol/failure.h"

namespace {

constexpr uint64_t info_private = 0x8;  // VXF_INFO_PRIVATE

Failed as_failed(const Result& result) { return {result.code, result.call, ""}; }

// The launcher's /dev/null is the host's, whose mode a guest could change. The guest's own may be anything by now.
Failed use_null_as_stdio() {
  int null = open("/dev/null", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (null < 0) return {errno, "open", "/dev/null"};
  struct stat info;
  if (fstat(null, &info) < 0) return {errno, "fstat", "/dev/null"};
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) return {ENODEV, "open", "/dev/null"};
  fcntl(null, F_SETFL, O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    if (dup2(null, fd) < 0) return {errno, "dup2", "/dev/null"};
  close(null);
  return {};
}

// While SYS_ADMIN is still held. A kernel before 3.17, or one without filters, cannot refuse a guest anything so.
Failed refuse_where_possible(uint32_t xid) {
  vserver::MaskedWord bcaps{};
  Result read = vserver::get_bcaps(xid, &bcaps);
  if (read.code) return as_failed(read);
  Failed failed = refuse_guests_calls(bcaps.word & cap_sys_admin);
  return failed.code == ENOSYS || failed.code == EINVAL ? Failed{} : failed;
}

// Before ctx_migrate this is a process of the host. After it the guest sees it, and has no way to what it left behind.
// STATE_SETUP goes last: while it is set nothing limits the guest, and no guest code has run.
[[noreturn]] void enter(const Spec& spec, const Pipes& pipes, int pipe_fd) {
  close_host_descriptors();
  setsid();
  Failed failed = as_failed(vserver::enter_space(spec.xid, spec.spaces));
  if (!failed.code) failed = use_null_as_stdio();
  if (failed.code) fail_child(pipe_fd, failed);
  use_as_stdio(pipes);
  Spec own = spec;
  AccountRoom room;
  failed = find_account(&own, &room);
  if (failed.code) fail_child(pipe_fd, failed);
  give_stdio(own.uid, own.gid);
  // STATE_* bits never come back, so what can be known of the exec before is known before.
  failed = take_user_for_now(own);
  if (!failed.code) failed = check_command(own);
  if (!failed.code) failed = raise_powers();
  if (!failed.code) failed = refuse_where_possible(spec.xid);
  if (!failed.code) failed = as_failed(vserver::ctx_migrate(spec.xid, spec.word));
  if (!failed.code && spec.clears) {
    uint64_t closed = spec.is_private ? info_private : 0;
    failed = as_failed(vserver::set_cflags(spec.xid, {closed, spec.clears | closed}));
  }
  if (!failed.code) failed = drop_powers(own);
  if (failed.code) fail_child(pipe_fd, failed);
  restore_signals();
  tell_ready(pipe_fd);
  fail_child(pipe_fd, start_command(own));
}

// A descriptor that polls readable when the only child has ended, without pidfds. Returns -1 with errno.
int watch_children() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  action.sa_flags = SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, nullptr);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

// INFO_PRIVATE shuts out enter_space even while the context is being set up (kernel/vserver/space.c). Nobody is in it
// then, so it is opened for the first process, which closes it behind itself.
bool opens_private(const Spec& spec) { return spec.is_private && spec.clears; }

Failure start(const Spec& spec, Pipes* pipes, long deadline, Child* child) {
  int status_pipe[2];
  if (int err = make_status_pipe(status_pipe)) return make_failure(err, "pipe2", "");
  if (spec.stdin_size > 0)
    if (int err = make_input_pipe(pipes)) return make_failure(err, "pipe2", "");
  child->xid = spec.xid;
  child->ended = watch_children();
  if (child->ended < 0) return make_failure(errno, "signalfd", "");
  if (opens_private(spec))
    if (Result opened = vserver::set_cflags(spec.xid, {0, info_private}); opened.code)
      return make_failure(opened.code, opened.call, "");
  child->pid = fork();
  if (child->pid < 0) return make_failure(errno, "fork", "");
  if (child->pid == 0) enter(spec, *pipes, status_pipe[1]);
  close(status_pipe[1]);
  close_child_ends(pipes);
  Failure failure{};
  if (!await_exec(status_pipe[0], *child, deadline, &failure)) reap_soon(*child);
  close(status_pipe[0]);
  return failure;
}

}  // namespace

int run_vserver_enter(const Spec& spec, Pipes pipes) {
  signal(SIGPIPE, SIG_IGN);  // a guest that closes its input must not end its launcher
  Deadlines deadlines = deadlines_of(spec);
  Child child;
  Log log(spec, &pipes);
  Failure failure = start(spec, &pipes, deadlines.exec, &child);
  if (failure.code && opens_private(spec)) vserver::set_cflags(spec.xid, {info_private, info_private});
  close_child_ends(&pipes);  // when no child was made, they are open still, and the log would never end
  Outcome outcome;
  if (!failure.code) outcome = see_through(child, spec, deadlines.end, &pipes, &log);
  take_as_outcome(spec, deadlines, &failure, &outcome);
  int code = tell_outcome(spec, failure, child, &outcome);
  let_go_of_daemon();
  log.see_through();
  return code;
}

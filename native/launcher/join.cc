#include "join.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "become.h"
#include "capture.h"
#include "report.h"
#include "shim.h"
#include "syscalls.h"

namespace {

constexpr int joined = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;

[[noreturn]] void fail(int pipe_fd, const Failed& failed) {
  fail_child(pipe_fd, failed.code, failed.call, failed.detail);
}

// Runs in the context's cgroup, but still in the host's PID namespace, where no guest sees it. All power is gone
// before the process that the guest can see, and with SYS_PTRACE trace, is made (CVE-2016-9962).
[[noreturn]] void join_and_clone(const Spec& spec, const CapturePipes& pipes, int pipe_fd) {
  if (setns(PID1_FD, joined) < 0) fail_child(pipe_fd, errno, "setns", "");
  for (int fd : {CONTROL_FD, CGROUP_FD, PID1_FD}) close(fd);
  if (spec.capture) use_as_stdio(pipes);
  Failed failed = drop_privileges(spec);
  if (failed.code) fail(pipe_fd, failed);
  // CLONE_PARENT: a child of the launcher on the host, which waits for it, so that it leaves no zombie in the guest.
  CloneArgs args{};
  args.flags = CLONE_PARENT;
  pid_t pid = sys_clone3(args);
  if (pid < 0) fail_child(pipe_fd, errno, "clone3", "");
  if (pid == 0) {
    setsid();
    reset_signals();
    fail(pipe_fd, start_command(spec));
  }
  ChildMessage message{};
  message.pid = pid;
  ssize_t ignored = write(pipe_fd, &message, sizeof message);
  (void)ignored;
  _exit(0);
}

// Reads until every writer has closed: the joining child has ended and exec has succeeded or failed.
pid_t read_outcome(int pipe_fd, Failure* failure) {
  pid_t pid = 0;
  for (ChildMessage message; read_child_message(pipe_fd, &message);) {
    if (message.pid > 0)
      pid = message.pid;
    else
      *failure = message.failure;
  }
  return pid;
}

}  // namespace

int run_join(const Spec& spec) {
  signal(SIGPIPE, SIG_IGN);  // a guest that closes its input must not end its launcher
  int status_pipe[2];
  CapturePipes pipes;
  if (pipe2(status_pipe, O_CLOEXEC) < 0) return send_failure(failure_message(errno, "pipe2", "").failure), 1;
  if (spec.capture)
    if (int err = make_capture_pipes(&pipes)) return send_failure(failure_message(err, "pipe2", "").failure), 1;

  CloneArgs args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t joining = sys_clone3(args);
  if (joining < 0) return send_failure(failure_message(errno, "clone3", "").failure), 1;
  if (joining == 0) {
    close(status_pipe[0]);
    join_and_clone(spec, pipes, status_pipe[1]);
  }
  close(status_pipe[1]);
  close_child_ends(&pipes);

  Failure failure{};
  pid_t pid = read_outcome(status_pipe[0], &failure);
  close(status_pipe[0]);
  waitpid(joining, nullptr, 0);
  if (pid == 0 && failure.code == 0) failure = failure_message(ESRCH, "clone3", "the context ended").failure;

  if (failure.code) {
    if (pid > 0) waitpid(pid, nullptr, 0);
  } else {
    send_text(Frame::started, "%d", pid);
    Outcome outcome = attend(pid, spec, &pipes);
    if (spec.poke_reaper) keep_exit_status(outcome.status);
    send_text(Frame::exited, "%d %d %d", outcome.status, outcome.timed_out, outcome.truncated);
  }
  if (spec.poke_reaper) sys_pidfd_send_signal(PID1_FD, SIGCHLD);
  if (failure.code) send_failure(failure);
  return failure.code ? 1 : 0;
}

#include "join.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
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
[[noreturn]] void join_and_clone(const Spec& spec, CapturePipes pipes, int pipe_fd, pid_t* made) {
  if (setns(PID1_FD, joined) < 0) fail_child(pipe_fd, errno, "setns", "");
  for (int fd : {CONTROL_FD, CGROUP_FD, PID1_FD}) close(fd);
  if (spec.capture) use_as_stdio(pipes);
  if (Failed failed = drop_privileges(spec); failed.code) fail(pipe_fd, failed);
  // The child must not be able to change what it is said to be: the page stays with this process and its parent.
  if (madvise(made, sizeof *made, MADV_DONTFORK) < 0) fail_child(pipe_fd, errno, "madvise", "");
  // CLONE_PARENT: a child of the launcher on the host, which waits for it, so that it leaves no zombie in the guest.
  CloneArgs args{};
  args.flags = CLONE_PARENT;
  pid_t pid = sys_clone3(args);
  if (pid < 0) fail_child(pipe_fd, errno, "clone3", "");
  if (pid == 0) {
    setsid();
    restore_signals();
    tell_ready(pipe_fd);
    fail(pipe_fd, start_command(spec));
  }
  *made = pid;
  _exit(0);
}

// The joining child has ended. What it made, or its failure.
Failure find_process(int status_pipe, pid_t made, int* pidfd) {
  // Only a child of ours, not yet waited for, cannot be somebody else by now.
  siginfo_t info{};
  if (made > 1 && waitid(P_PID, static_cast<id_t>(made), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
    *pidfd = sys_pidfd_open(made);
    return *pidfd < 0 ? make_failure(errno, "pidfd_open", "") : Failure{};
  }
  ChildMessage message;
  if (read(status_pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message) && message.failure.code)
    return message.failure;
  return make_failure(ESRCH, "clone3", "the context ended");
}

struct Job {
  int status_pipe[2] = {-1, -1};
  CapturePipes pipes;
  pid_t* made = nullptr;  // shared with the joining child only
};

// Returns 0 or an errno, with the call in `call`.
int prepare(const Spec& spec, Job* job, const char** call) {
  *call = "pipe2";
  if (int err = make_status_pipe(job->status_pipe)) return err;
  if (spec.capture)
    if (int err = make_capture_pipes(&job->pipes)) return err;
  *call = "mmap";
  void* page = mmap(nullptr, sizeof *job->made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  job->made = static_cast<pid_t*>(page);
  return 0;
}

Failure start(const Spec& spec, Job* job, long deadline, pid_t* pid, int* pidfd) {
  const char* call = "";
  if (int err = prepare(spec, job, &call)) return make_failure(err, call, "");
  CloneArgs args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t joining = sys_clone3(args);
  if (joining < 0) return make_failure(errno, "clone3", "");
  if (joining == 0) join_and_clone(spec, job->pipes, job->status_pipe[1], job->made);
  close(job->status_pipe[1]);
  close_child_ends(&job->pipes);
  waitpid(joining, nullptr, 0);
  Failure failure = find_process(job->status_pipe[0], *job->made, pidfd);
  if (failure.code) return failure;
  *pid = *job->made;
  if (!await_exec(job->status_pipe[0], *pidfd, deadline, &failure)) waitpid(*pid, nullptr, 0);
  close(job->status_pipe[0]);
  return failure;
}

}  // namespace

int run_join(const Spec& spec) {
  signal(SIGPIPE, SIG_IGN);  // a guest that closes its input must not end its launcher
  long now = now_ms();
  long deadline = spec.timeout_ms > 0 ? now + spec.timeout_ms : 0;
  long exec_deadline = now + exec_limit_ms;
  if (deadline && deadline < exec_deadline) exec_deadline = deadline;

  Job job;
  pid_t pid = 0;
  int pidfd = -1;
  Failure failure = start(spec, &job, exec_deadline, &pid, &pidfd);
  Outcome outcome;
  if (!failure.code) {
    // Who waits for the output has no use for a word before it.
    if (!spec.capture) send_text(Frame::started, "%d", pid);
    outcome = attend(pid, pidfd, spec, deadline, &job.pipes);
    if (spec.poke_reaper) keep_status("trusted.contextd.last_exit", outcome.status);
  }
  // The reaper looks whether this was the last process, also after a start that failed.
  if (spec.poke_reaper) sys_pidfd_send_signal(PID1_FD, SIGCHLD);
  if (!failure.code && spec.capture) send_text(Frame::started, "%d", pid);
  if (failure.code)
    send_failure(failure);
  else
    send_text(Frame::exited, "%d %d %d", outcome.status, outcome.timed_out, outcome.truncated);
  return failure.code ? 1 : 0;
}

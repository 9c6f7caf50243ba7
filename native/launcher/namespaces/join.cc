#include "join.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "../../syscalls.h"
#include "../children/capture.h"
#include "../children/child.h"
#include "../children/oom.h"
#include "../children/start.h"
#include "../log/log.h"
#include "../process/become_guest.h"
#include "../process/command.h"
#include "../process/descriptors.h"
#include "../process/status_pipe.h"
#include "attributes.h"

namespace {

// In every context; the others are there by its flags.
constexpr int joined = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;

struct Joining {
  const Spec& spec;
  const Pipes& pipes;
  int pipe_fd;
  pid_t* made;
};

// Runs in the context's cgroup, but still in the host's PID namespace, where no guest sees it. All power is gone
// before the process that the guest can see, and with SYS_PTRACE trace, is made (CVE-2016-9962): that one has a copy of
// the memory, which this one may share with the launcher.
[[noreturn]] void join_and_clone(void* argument) {
  const auto& [spec, pipes, pipe_fd, made] = *static_cast<const Joining*>(argument);
  if (setns(PID1_FD, joined | static_cast<int>(spec.spaces)) < 0) fail_child(pipe_fd, errno, "setns", "");
  close_host_descriptors();
  use_as_stdio(pipes);
  Spec own = spec;
  AccountRoom room;
  if (Failed failed = become_guest(&own, &room); failed.code) fail_child(pipe_fd, failed);
  // The child must not be able to change what it is said to be: the page stays with this process and its parent.
  if (madvise(made, sizeof *made, MADV_DONTFORK) < 0) fail_child(pipe_fd, errno, "madvise", "");
  // Whoever traces the child may keep it from its own setsid(2); the launcher's process group it must not be in, for
  // kill(2) with 0 reaches a group across PID namespaces.
  setsid();
  // CLONE_PARENT: a child of the launcher on the host, which waits for it, so that it leaves no zombie in the guest.
  // By clone(2), for the guest's clone3(2) is refused by now.
  pid_t pid = sys_clone(CLONE_PARENT);
  if (pid < 0) fail_child(pipe_fd, errno, "clone", "");
  if (pid == 0) {
    setsid();
    restore_signals();
    tell_ready(pipe_fd);
    fail_child(pipe_fd, start_command(own));
  }
  *made = pid;
  sched_yield();  // on a busy host it goes first: the end of this one takes as long as its exec
  _exit(0);
}

// Bytes that an idle launcher may have held.
constexpr size_t modest_output = 64 * 1024;

// PID 1 is signalled as ended only after the last process of its namespace.
constexpr int end_wait_ms = 1000;

// A PID namespace whose PID 1 has ended makes no process any more, and says so with ENOMEM (pid_namespaces(7)).
bool is_for_its_end(const Failure& failure) {
  if (failure.code != ENOMEM || strncmp(failure.call, "clone", sizeof failure.call) != 0) return false;
  pollfd pid1{PID1_FD, POLLIN, 0};
  return poll(&pid1, 1, end_wait_ms) > 0;
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
  if (read(status_pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message) && message.failure.code &&
      !is_for_its_end(message.failure))
    return message.failure;
  return make_failure(ESRCH, "clone", "the context ended");
}

Failure start(const Spec& spec, const Join& join, const ChildStack& stack, Pipes* pipes, long deadline, Child* child) {
  if (join.failed.code) return make_failure(join.failed);
  if (spec.stdin_size > 0)
    if (int err = make_input_pipe(pipes)) return make_failure(err, "pipe2", "");
  CloneArgs args{};
  args.flags = CLONE_INTO_CGROUP | CLONE_VFORK;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  Joining joining{spec, *pipes, join.status_pipe[1], join.made};
  // A time namespace is joined by what shares its memory with nobody (setns(2)).
  pid_t pid = spawn(args, spec.spaces & CLONE_NEWTIME ? ChildStack{} : stack, join_and_clone, &joining);
  if (pid < 0) return make_failure(errno, "clone3", "");
  close(join.status_pipe[1]);
  close_child_ends(pipes);
  waitpid(pid, nullptr, 0);
  child->pid = *join.made;
  Failure failure = find_process(join.status_pipe[0], child->pid, &child->ended);
  if (failure.code) return failure;
  if (!await_exec(join.status_pipe[0], *child, deadline, &failure)) reap_soon(*child);
  close(join.status_pipe[0]);
  return failure;
}

}  // namespace

Join prepare_join(const Join& before) {
  Join join;
  // A new page: nothing that could still write to the last one is to be believed.
  if (before.made) munmap(before.made, sizeof *before.made);
  void* page = mmap(nullptr, sizeof *join.made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    join.failed = {errno, "mmap", ""};
  else if (int err = make_status_pipe(join.status_pipe))
    join.failed = {err, "pipe2", ""};
  else
    join.made = static_cast<pid_t*>(page);
  return join;
}

int run_join(const Spec& spec, const Join& join, Pipes pipes, const ChildStack& stack, bool* takes_next) {
  signal(SIGPIPE, SIG_IGN);  // a guest that closes its input must not end its launcher
  Deadlines deadlines = deadlines_of(spec);
  Child child;
  Log log(spec, &pipes);
  Failure failure = start(spec, join, stack, &pipes, deadlines.exec, &child);
  close_child_ends(&pipes);  // when no child was made, they are open still, and the log would never end
  Outcome outcome;
  if (!failure.code) {
    outcome = see_through(child, spec, deadlines.end, &pipes, &log);
    outcome.oom = oom_killed(child.pid, outcome.status);
    if (spec.poke_reaper) keep_status("trusted.contextd.last_exit", outcome.status, outcome.oom);
  }
  const bool has_started = !failure.code;
  take_as_outcome(spec, deadlines, &failure, &outcome);
  // The reaper looks whether this was the last process, also after a start that failed.
  if (spec.poke_reaper) sys_pidfd_send_signal(PID1_FD, SIGCHLD);
  // A log may go on, a tracer keeps the end of a child to itself, children that a guest has made ours (CLONE_PARENT)
  // would wait to be waited for, and much output would leave much memory behind.
  *takes_next = has_started && spec.capture && outcome.sizes[0] + outcome.sizes[1] <= modest_output && !log.is_open() &&
                is_childless();
  if (*takes_next) {
    close(child.ended);
    let_go_of_context();
  }
  int code = tell_outcome(spec, failure, child, &outcome, *takes_next);
  if (*takes_next) return code;
  let_go_of_daemon();
  log.see_through();
  return code;
}

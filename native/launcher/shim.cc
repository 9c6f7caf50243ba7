#include "shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "become.h"
#include "mounts.h"
#include "reaper.h"
#include "report.h"
#include "syscalls.h"

namespace {

// The others are the shim's own already (prepare_mounts).
constexpr uint64_t namespaces = CLONE_NEWUTS | CLONE_NEWPID;

void set_names(const Spec& spec, int pipe_fd) {
  if (spec.nodename && sethostname(spec.nodename, strlen(spec.nodename)) < 0)
    fail_child(pipe_fd, errno, "sethostname", spec.nodename);
  if (spec.domainname && setdomainname(spec.domainname, strlen(spec.domainname)) < 0)
    fail_child(pipe_fd, errno, "setdomainname", spec.domainname);
}

[[noreturn]] void fail(int pipe_fd, const Failed& failed) {
  fail_child(pipe_fd, failed.code, failed.call, failed.detail);
}

// Runs as PID 1 of the new namespace, alone in it until it is ready.
[[noreturn]] void run_pid1(const Spec& spec, const GuestMounts& mounts, int pipe_fd, int orders) {
  // The guest must find no way back to the daemon or the host's cgroup tree, whoever gets to trace this process.
  close(CONTROL_FD);
  close(CGROUP_FD);
  setsid();
  // Only now: with CLONE_NEWCGROUP in clone3 the namespace's root would be the parent's cgroup (cgroup_namespaces(7)).
  if (unshare(CLONE_NEWCGROUP) < 0) fail_child(pipe_fd, errno, "unshare", "CLONE_NEWCGROUP");
  set_up_mounts(spec, mounts, pipe_fd);
  set_names(spec, pipe_fd);
  if (Failed failed = drop_privileges(spec); failed.code) fail(pipe_fd, failed);
  if (spec.mode == Mode::reaper) run_reaper(orders, pipe_fd);
  restore_signals();
  tell_ready(pipe_fd);
  fail(pipe_fd, start_command(spec));
}

// Tells the daemon, and first leaves it where a later daemon finds it.
void announce(pid_t pid1, bool is_init) {
  char text[32];
  int n = snprintf(text, sizeof text, "%d %s", pid1, is_init ? "init" : "reaper");
  fsetxattr(CGROUP_FD, "trusted.contextd.pid1", text, static_cast<size_t>(n), 0);
  send_text(Frame::started, "%d", pid1);
}

// The reaper's answer to an order: its failure, or end of file because its exec has closed the socket.
bool took_order(int orders, int pidfd, Failure* failure) {
  pollfd events[] = {{orders, POLLIN, 0}, {pidfd, POLLIN, 0}};
  int n;
  do n = poll(events, 2, static_cast<int>(exec_limit_ms));
  while (n < 0 && errno == EINTR);
  *failure = make_failure(ETIMEDOUT, "execve", "the reaper does not answer");
  if (n <= 0) return false;
  if (events[1].revents) {
    *failure = make_failure(ESRCH, "execve", "the reaper has ended");
    return false;
  }
  ssize_t size = recv(orders, failure, sizeof *failure, MSG_DONTWAIT | MSG_WAITALL);
  return size == 0;
}

// Hands one order from the daemon to the reaper and its answer back. True when the reaper is the guest's init now.
bool forward_order(int orders, int pidfd, pid_t pid1) {
  char* buffer = nullptr;
  SpecHeader header{};
  int err = read_spec_message(CONTROL_FD, &buffer, &header);
  if (!err) {
    struct {
      const void* data;
      size_t size;
    } parts[] = {{&header, sizeof header}, {buffer, size_t{header.fields} + header.stdin_size}};
    for (const auto& part : parts)
      if (send(orders, part.data, part.size, MSG_NOSIGNAL) != static_cast<ssize_t>(part.size)) err = EPIPE;
  }
  free(buffer);
  Failure failure{};
  bool took = false;
  if (err)
    failure = make_failure(err, "send", "order to the reaper");
  else
    took = took_order(orders, pidfd, &failure);
  if (took)
    announce(pid1, true);
  else
    send_failure(failure);
  return took;
}

// Serves the daemon until PID 1 has ended. True when PID 1 has become a guest's init.
bool serve_reaper(int orders, int pidfd, pid_t pid1) {
  bool became_init = false;
  for (int control = CONTROL_FD;;) {
    pollfd ready[] = {{pidfd, POLLIN, 0}, {control, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[0].revents) return became_init;
    char probe;
    if (recv(CONTROL_FD, &probe, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
      control = -1;  // the daemon is gone
    else
      became_init = forward_order(orders, pidfd, pid1);
    if (became_init) control = -1;
  }
}

int give_up(int code, const char* call) {
  send_failure(make_failure(code, call, ""));
  return 1;
}

}  // namespace

void keep_status(const char* attribute, int status) {
  char text[16];
  int n = snprintf(text, sizeof text, "%d", status);
  // Before the daemon can hear of it, so that it is not lost with a daemon that is not there.
  fsetxattr(CGROUP_FD, attribute, text, static_cast<size_t>(n), 0);
}

int run_shim(const Spec& spec, const GuestMounts& mounts) {
  int status_pipe[2], orders[2] = {-1, -1};
  if (int err = make_status_pipe(status_pipe)) return give_up(err, "pipe2");
  if (spec.mode == Mode::reaper && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders) < 0)
    return give_up(errno, "socketpair");

  int pidfd = -1;
  CloneArgs args{};
  args.flags = namespaces | CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid1 = sys_clone3(args);
  if (pid1 < 0) return give_up(errno, "clone3");
  if (pid1 == 0) run_pid1(spec, mounts, status_pipe[1], orders[1]);
  close(status_pipe[1]);
  if (orders[1] >= 0) close(orders[1]);

  Failure failure{};
  bool started = await_exec(status_pipe[0], pidfd, now_ms() + exec_limit_ms, &failure);
  bool has_init = spec.mode == Mode::init;
  if (started) announce(pid1, has_init);
  // Now, while the guest runs: they are held by its namespace, or not needed.
  close_mounts(mounts);
  close(status_pipe[0]);
  if (started && spec.mode == Mode::reaper) has_init = serve_reaper(orders[0], pidfd, pid1);
  int status = 0;
  while (waitpid(pid1, &status, 0) < 0 && errno == EINTR) {
  }
  if (!started) {
    send_failure(failure);
    return 1;
  }
  if (has_init)
    keep_status("trusted.contextd.exit", status);
  else
    status = -1;  // how the reaper ends says nothing
  send_text(Frame::exited, "%d 0 0", status);
  return 0;
}

int run_probe(const GuestMounts& mounts) {
  if (mounts.code) return give_up(mounts.code, mounts.call);
  if (unshare(CLONE_NEWCGROUP) < 0) return give_up(errno, "unshare");
  CloneArgs args{};
  args.flags = namespaces | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid = sys_clone3(args);
  if (pid < 0) return give_up(errno, "clone3");
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  send_text(Frame::started, "%d", pid);
  return 0;
}

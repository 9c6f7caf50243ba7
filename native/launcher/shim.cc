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

constexpr uint64_t namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID;

struct Ends {
  int reader = -1;
  int writer = -1;
};

void set_names(const Spec& spec, int pipe_fd) {
  if (spec.nodename && sethostname(spec.nodename, strlen(spec.nodename)) < 0)
    fail_child(pipe_fd, errno, "sethostname", spec.nodename);
  if (spec.domainname && setdomainname(spec.domainname, strlen(spec.domainname)) < 0)
    fail_child(pipe_fd, errno, "setdomainname", spec.domainname);
}

// Runs as PID 1 of the new namespace, alone in it until the last line.
[[noreturn]] void run_pid1(const Spec& spec, int pipe_fd, int orders) {
  // The guest must find no way back to the daemon or the host's cgroup tree, whoever gets to trace this process.
  close(CONTROL_FD);
  close(CGROUP_FD);
  setsid();
  // Only now: with CLONE_NEWCGROUP in clone3 the namespace's root would be the parent's cgroup (cgroup_namespaces(7)).
  if (unshare(CLONE_NEWCGROUP) < 0) fail_child(pipe_fd, errno, "unshare", "CLONE_NEWCGROUP");
  set_up_mounts(spec, pipe_fd);
  set_names(spec, pipe_fd);
  Failed failed = drop_privileges(spec);
  if (failed.code) fail_child(pipe_fd, failed.code, failed.call, failed.detail);
  if (spec.mode == Mode::reaper) {
    close(pipe_fd);
    dup3(orders, CONTROL_FD, O_CLOEXEC);
    sys_close_range(CONTROL_FD + 1, ~0u, 0);
    run_reaper(CONTROL_FD);
  }
  reset_signals();
  failed = start_command(spec);
  fail_child(pipe_fd, failed.code, failed.call, failed.detail);
}

// Tells the daemon, and first leaves it where a later daemon finds it.
void announce(pid_t pid1, bool is_init) {
  char text[32];
  int n = snprintf(text, sizeof text, "%d %s", pid1, is_init ? "init" : "reaper");
  fsetxattr(CGROUP_FD, "trusted.contextd.pid1", text, static_cast<size_t>(n), 0);
  send_text(Frame::started, "%d", pid1);
}

// Hands one order from the daemon to the reaper and its answer back.
void forward_order(int orders, pid_t pid1) {
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
  ChildMessage answer{};
  if (err)
    send_failure(failure_message(err, "send", "order to the reaper").failure);
  else if (read_child_message(orders, &answer))
    send_failure(answer.failure);
  else
    announce(pid1, true);
}

// Serves the daemon until PID 1 has ended. True when PID 1 has become a guest's init.
bool serve_reaper(int orders, int pidfd, pid_t pid1) {
  bool became_init = false;
  for (int control = CONTROL_FD;;) {
    pollfd ready[] = {{pidfd, POLLIN, 0}, {control, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[0].revents) return became_init;
    char probe;
    if (recv(CONTROL_FD, &probe, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
      control = -1;  // the daemon is gone; a new one reads the cgroup's attributes
      continue;
    }
    forward_order(orders, pid1);
    // The reaper's end is close-on-exec: end of file there, with PID 1 alive, is the exec.
    became_init = recv(orders, &probe, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    if (became_init) control = -1;
  }
}

}  // namespace

void keep_exit_status(int status) {
  char text[16];
  int n = snprintf(text, sizeof text, "%d", status);
  // Before the daemon can hear of it, so that it is not lost with a daemon that is not there.
  fsetxattr(CGROUP_FD, "trusted.contextd.exit", text, static_cast<size_t>(n), 0);
}

int run_shim(const Spec& spec) {
  Ends status_pipe, orders;
  if (pipe2(&status_pipe.reader, O_CLOEXEC) < 0) return send_failure(failure_message(errno, "pipe2", "").failure), 1;
  if (spec.mode == Mode::reaper && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, &orders.reader) < 0)
    return send_failure(failure_message(errno, "socketpair", "").failure), 1;

  int pidfd = -1;
  CloneArgs args{};
  args.flags = namespaces | CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid1 = sys_clone3(args);
  if (pid1 < 0) return send_failure(failure_message(errno, "clone3", "").failure), 1;
  if (pid1 == 0) {
    close(status_pipe.reader);
    if (orders.reader >= 0) close(orders.reader);
    run_pid1(spec, status_pipe.writer, orders.writer);
  }
  close(status_pipe.writer);
  if (orders.writer >= 0) close(orders.writer);

  ChildMessage message{};
  bool failed = read_child_message(status_pipe.reader, &message);
  close(status_pipe.reader);
  bool has_init = spec.mode == Mode::init;
  if (!failed) announce(pid1, has_init);
  if (!failed && spec.mode == Mode::reaper) has_init = serve_reaper(orders.reader, pidfd, pid1);
  int status = 0;
  while (waitpid(pid1, &status, 0) < 0 && errno == EINTR) {
  }
  if (failed) return send_failure(message.failure), 1;
  if (has_init) {
    keep_exit_status(status);
    send_text(Frame::exited, "%d 0 0", status);
  }
  return 0;
}

int run_probe() {
  if (unshare(CLONE_NEWCGROUP) < 0)
    return send_failure(failure_message(errno, "unshare", "CLONE_NEWCGROUP").failure), 1;
  CloneArgs args{};
  args.flags = namespaces | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid = sys_clone3(args);
  if (pid < 0) return send_failure(failure_message(errno, "clone3", "").failure), 1;
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  send_text(Frame::started, "%d", pid);
  return 0;
}

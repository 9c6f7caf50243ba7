#include "shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../../syscalls.h"
#include "../log/log.h"
#include "../mounts/mounts.h"
#include "../process/account.h"
#include "../process/become.h"
#include "../process/seccomp.h"
#include "../protocol/door.h"
#include "../protocol/report.h"
#include "forks.h"
#include "own_spaces.h"
#include "reaper.h"

namespace {

void set_names(const Spec& spec, int pipe_fd) {
  if (spec.nodename && sethostname(spec.nodename, strlen(spec.nodename)) < 0)
    fail_child(pipe_fd, errno, "sethostname", spec.nodename);
  if (spec.domainname && setdomainname(spec.domainname, strlen(spec.domainname)) < 0)
    fail_child(pipe_fd, errno, "setdomainname", spec.domainname);
}

[[noreturn]] void fail(int pipe_fd, const Failed& failed) {
  fail_child(pipe_fd, failed.code, failed.call, failed.detail);
}

// What PID 1 is told: copies of what the shim goes on to change.
struct Start {
  const Spec& spec;
  const GuestMounts& mounts;
  Pipes pipes;
  int pipe_fd;
  int orders;
};

// Runs as PID 1 of the new namespace, alone in it until it is ready.
[[noreturn]] void run_pid1(void* argument) {
  const auto& [spec, mounts, pipes, pipe_fd, orders] = *static_cast<const Start*>(argument);
  // The guest must find no way back to the daemon or the host's cgroup tree, whoever gets to trace this process.
  close_host_descriptors();
  use_as_stdio(pipes);
  setsid();
  // Only now: with CLONE_NEWCGROUP in clone3 the namespace's root would be the parent's cgroup (cgroup_namespaces(7)).
  if (unshare(CLONE_NEWCGROUP) < 0) fail_child(pipe_fd, errno, "unshare", "CLONE_NEWCGROUP");
  if (Failed failed = mount_proc(spec, mounts); failed.code) fail(pipe_fd, failed);
  if (spec.spaces & CLONE_NEWNET)
    if (Failed failed = set_up_network(spec); failed.code) fail(pipe_fd, failed);
  set_names(spec, pipe_fd);
  Spec own = spec;
  AccountRoom room;
  Failed failed = find_account(&own, &room);
  if (failed.code) fail(pipe_fd, failed);
  give_stdio(own.uid, own.gid);
  if (spec.ignore_nice) failed = ignore_negative_nice(spec.bcaps & cap_sys_nice);
  if (!failed.code) failed = refuse_guests_calls(spec.bcaps & cap_sys_admin);
  if (!failed.code) failed = drop_privileges(own);
  if (failed.code) fail(pipe_fd, failed);
  if (spec.mode == Mode::reaper) run_reaper(orders, pipe_fd);
  restore_signals();
  tell_ready(pipe_fd);
  fail(pipe_fd, start_command(own));
}

bool has_memory_limit() {
  int fd = openat(CGROUP_FD, "memory.max", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;  // no such controller
  char limit = '0';
  ssize_t n = read(fd, &limit, 1);
  close(fd);
  return n != 1 || limit != 'm';  // "max"
}

// A PID 1 that runs.
struct Run {
  pid_t pid1;
  int pidfd;
  int orders;     // socket to the reaper
  bool has_init;  // PID 1 is the guest's init, not a reaper
};

const char* role_of(const Run& run) { return run.has_init ? "init" : "reaper"; }

// Leaves it where a later daemon finds it.
void keep_pid1(const Run& run) {
  char text[32];
  int n = snprintf(text, sizeof text, "%d %s", run.pid1, role_of(run));
  fsetxattr(CGROUP_FD, "trusted.contextd.pid1", text, static_cast<size_t>(n), 0);
}

void tell_start(const Run& run) { send_text(Frame::started, "%d", run.pid1); }

// True when PID 1 ends within so many milliseconds.
bool ends_within(long ms, const Run& run, Log* log) {
  const long deadline = now_ms() + ms;
  for (long left = ms; left > 0; left = deadline - now_ms()) {
    pollfd ended{run.pidfd, POLLIN, 0};
    if (log->poll(&ended, 1, static_cast<int>(left)) >= 0 && ended.revents) return true;
  }
  return false;
}

// With its start, where that is still untold.
void tell_end(const Run& run, bool started_is_told, int status, OomKilled oom) {
  char pid[16], end[64];
  FrameView frames[frames_max];
  size_t count = 0;
  int n = snprintf(pid, sizeof pid, "%d", run.pid1);
  if (!started_is_told) frames[count++] = {Frame::started, pid, static_cast<size_t>(n)};
  n = snprintf(end, sizeof end, "%d 0 0 %c", status, static_cast<char>(oom));
  frames[count++] = {Frame::exited, end, static_cast<size_t>(n)};
  send_frames(frames, count);
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
  // ECONNRESET: it has closed its end with the order unread, and its pidfd is about to tell.
  if (size < 0) *failure = make_failure(ESRCH, "execve", "the reaper has ended");
  return size == 0;
}

// Hands one order from the daemon to the reaper and its answer back. False when the daemon is gone or makes no sense.
bool forward_order(Run* run) {
  char* buffer = nullptr;
  SpecHeader header{};
  int err = read_spec_message(CONTROL_FD, &buffer, &header);
  bool understood = !err;
  if (!err && run->has_init) err = EPERM;
  if (!err) {
    struct {
      const void* data;
      size_t size;
    } parts[] = {{&header, sizeof header}, {buffer, size_t{header.fields} + header.stdin_size}};
    for (const auto& part : parts)
      if (send(run->orders, part.data, part.size, MSG_NOSIGNAL) != static_cast<ssize_t>(part.size)) err = EPIPE;
  }
  free(buffer);
  Failure failure{};
  bool took = false;
  if (err)
    failure = make_failure(err, "send", "order to the reaper");
  else
    took = run->has_init = took_order(run->orders, run->pidfd, &failure);
  if (took) {
    keep_pid1(*run);
    tell_start(*run);
  } else {
    send_failure(failure);
  }
  return understood;
}

// Serves one daemon after the other until PID 1 has ended.
void serve(Run* run, Log* log) {
  for (int control = CONTROL_FD;;) {
    pollfd ready[] = {{run->pidfd, POLLIN, 0}, {control, POLLIN, 0}, {DOOR_FD, POLLIN, 0}};
    if (log->poll(ready, 3, -1) < 0) continue;
    if (ready[0].revents) return;
    char probe;
    if (ready[1].revents && (recv(CONTROL_FD, &probe, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 || !forward_order(run)))
      control = -1;  // the daemon is gone
    if (ready[2].revents && admit_daemon()) {
      control = CONTROL_FD;
      send_text(Frame::admitted, "%d %s", run->pid1, role_of(*run));
    }
  }
}

// Nothing else ends the init of a PID namespace by these: the kernel discards a fatal signal other than SIGKILL that
// it does not handle, whoever sends it, and reboot(2) replaces the status of the SIGKILL that it ends it by
// (pid_namespaces(7), "Behavior of signal-handling" and "reboot"; zap_pid_ns_processes).
bool was_rebooted(int status) {
  return WIFSIGNALED(status) && (WTERMSIG(status) == SIGHUP || WTERMSIG(status) == SIGINT);
}

int give_up(const Failed& failed) {
  send_failure(make_failure(failed.code, failed.call, failed.detail));
  return 1;
}
int give_up(int code, const char* call) { return give_up({code, call, ""}); }

}  // namespace

void keep_status(const char* attribute, int status, OomKilled oom) {
  char text[32];
  int n = snprintf(text, sizeof text, "%d %c", status, static_cast<char>(oom));
  // Before the daemon can hear of it, so that it is not lost with a daemon that is not there.
  fsetxattr(CGROUP_FD, attribute, text, static_cast<size_t>(n), 0);
}

int run_shim(const Spec& spec, GuestMounts* mounts, Pipes pipes, const ChildStack& stack) {
  Log log(spec, &pipes);
  int status_pipe[2], orders[2] = {-1, -1};
  if (int err = make_status_pipe(status_pipe)) return give_up(err, "pipe2");
  if (spec.mode == Mode::reaper && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders) < 0)
    return give_up(errno, "socketpair");

  Failed failed = mounts->failed;
  if (!failed.code && spec.spaces & CLONE_NEWTIME) failed = prepare_time();
  if (!failed.code) failed = finish_mounts(spec, mounts);
  if (failed.code) return give_up(failed);
  announce_door();  // from here on the next daemon can ask what has become of this order
  int pidfd = -1;
  CloneArgs args{};
  // The others are the shim's own already (prepare_mounts).
  args.flags = CLONE_NEWPID | (spec.spaces & CLONE_NEWNET) | CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  // A reaper stays in the memory it begins in.
  bool may_share = spec.mode == Mode::init && !(spec.spaces & CLONE_NEWTIME) && !has_memory_limit();
  Start start{spec, *mounts, pipes, status_pipe[1], orders[1]};
  pid_t pid1 = spawn(args, may_share ? stack : ChildStack{}, run_pid1, &start);
  if (pid1 < 0) return give_up(errno, "clone3");
  close(status_pipe[1]);
  close_child_ends(&pipes);
  if (orders[1] >= 0) close(orders[1]);

  Run run{pid1, pidfd, orders[0], spec.mode == Mode::init};
  Failure failure{};
  long deadline = now_ms() + exec_limit_ms;
  if (may_share) await_end_of_sharing(status_pipe[0], deadline);
  bool started = await_exec(status_pipe[0], {pid1, pidfd}, deadline, &failure);
  if (started) keep_pid1(run);
  close(status_pipe[0]);
  bool is_told = started && !ends_within(spec.start_delay_ms, run, &log);
  if (is_told) tell_start(run);
  if (started) serve(&run, &log);
  int status = 0;
  while (waitpid(pid1, &status, 0) < 0 && errno == EINTR) {
  }
  if (!started) {
    send_failure(failure);
    return 1;
  }
  OomKilled oom = OomKilled::no;
  if (spec.fork_slot) keep_forks(spec.fork_slot);
  // The reaper's end, too, is the context's when reboot(2) was called beside it.
  if (run.has_init || was_rebooted(status)) {
    oom = oom_killed(pid1, status);
    keep_status("trusted.contextd.exit", status, oom);
  } else {
    status = -1;  // how the reaper ends says nothing
  }
  // All that could write is dead. Before the end is told of, so that whoever waits for it finds all of the log.
  log.drain();
  tell_end(run, is_told, status, oom);
  return 0;
}

int run_probe(const GuestMounts& mounts) {
  if (mounts.failed.code) return give_up(mounts.failed);
  if (unshare(CLONE_NEWCGROUP) < 0) return give_up(errno, "unshare");
  CloneArgs args{};
  args.flags = CLONE_NEWPID | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid = sys_clone3(args);
  if (pid < 0) return give_up(errno, "clone3");
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  if (Failed failed = refuse_guests_calls(false); failed.code) return give_up(failed);
  send_text(Frame::started, "%d", pid);
  return 0;
}

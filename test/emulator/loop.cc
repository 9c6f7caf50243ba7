#include "loop.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>

#include "contexts.h"
#include "exits.h"
#include "helper.h"
#include "injection.h"
#include "options.h"
#include "traps.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace {

constexpr uint64_t wake_on_same_cpu = 1;  // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: halves the cost of a round trip

constexpr int prune_ms = 100;  // nothing tells of an interrupted wait; a trace should

void serve_one() {
  seccomp_notif notif{};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0) return;  // the caller has gone already
  Call call(notif);
  uint64_t id = call.notif;
  const Trap* trap = find_trap(call.number);
  long result = trap ? trap->handle(&call) : run_it;
  if (result == run_it)
    let_run(id);
  else if (result != answered && call.injection)
    call.injection->finish(result);
  else if (result != answered)
    answer(id, result);
}

void check_command() {
  if (!command_ended && waitpid(command_pid, &command_status, WNOHANG) == command_pid) command_ended = true;
}

void take_signals(int fd) {
  signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) continue;  // looked at below
    kill(command_pid, static_cast<int>(info.ssi_signo));
  }
  check_command();
  reap_helpers();
}

}  // namespace

void run_loop(int signals_fd) {
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, wake_on_same_cpu);
  enum { calls, exits, cgroups, signals, sources };
  pollfd polled[sources] = {
      {listener, POLLIN, 0}, {exits_fd(), POLLIN, 0}, {cgroup_watch(), POLLIN, 0}, {signals_fd, POLLIN, 0}};
  int timeout = -1;
  uint64_t next_prune = 0;
  bool waits = true;
  while (!command_ended) {
    if (poll(polled, sources, timeout) < 0 && errno != EINTR) return;
    if (polled[exits].revents) read_exits();
    if (polled[cgroups].revents) read_cgroup_watch();
    if (polled[signals].revents) take_signals(signals_fd);
    timeout = finish_dead();
    if (options.trace && now_ns() >= next_prune) {
      next_prune = now_ns() + prune_ms * 1'000'000;
      waits = prune_all_waits();
    }
    if (polled[calls].revents & POLLIN) {
      serve_one();
      waits = true;  // it may have been one
    }
    if (options.trace && waits && (timeout < 0 || timeout > prune_ms)) timeout = prune_ms;
    // The filter's last user has gone: only COMMAND's own end is awaited.
    if (polled[calls].revents & (POLLHUP | POLLERR)) polled[calls].fd = -1;
  }
}

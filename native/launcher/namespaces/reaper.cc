#include "reaper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "../process/account.h"
#include "../process/command.h"
#include "../process/descriptors.h"
#include "../process/pipes.h"
#include "../process/privileges.h"
#include "../process/status_pipe.h"
#include "../protocol/failure.h"
#include "../protocol/spec.h"

namespace {

// Nobody tells of a launcher that was killed before it could; looking this often costs next to nothing.
constexpr timespec look_again = {5, 0};
// A next process often follows at once. It finds this one here, instead of one that is just about to end.
constexpr timespec stay_alone = {0, 100000000};

void on_child(int) {}

// With a handler the signal also comes from outside the namespace, which is how a joining launcher tells that its
// process has ended; PID 1 would not hear it otherwise (pid_namespaces(7)). Blocked but while waiting: none is lost.
void listen_for_children() {
  struct sigaction action {};
  action.sa_handler = on_child;
  sigaction(SIGCHLD, &action, nullptr);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

// kill(2): -1 reaches every process of this PID namespace but its init and the caller, here one and the same.
bool alone() { return kill(-1, 0) < 0 && errno == ESRCH; }

// Guest processes live beside this one, and with SYS_PTRACE they may trace it: it holds no more than bcaps, so it
// can give a new init no more, and what it cannot take away (no SETPCAP) it must not pass on.
Failed become_init(Spec spec) {
  if (!holds_exactly(spec.bcaps)) return {EPERM, "prctl", "bcaps have changed since the context's first process"};
  static AccountRoom room;
  if (Failed failed = find_account(&spec, &room); failed.code) return failed;
  give_stdio(spec.uid, spec.gid);
  if (Failed failed = take_user(spec); failed.code) return failed;
  restore_signals();
  return start_command(spec);
}

// False when the shim is gone.
bool take_order(int orders) {
  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  Failed failed;
  if (int err = read_spec_message(orders, &buffer, &header))
    failed = {err, "read", "order"};
  else if (int bad = parse_spec(buffer, header, &spec))
    failed = {bad, "launcher", "order"};
  else
    failed = become_init(spec);
  // Still here: it failed.
  listen_for_children();
  Failure failure = make_failure(failed);
  free_lists(&spec);
  free(buffer);
  return send(orders, &failure, sizeof failure, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof failure);
}

}  // namespace

void run_reaper(int orders, int status_pipe) {
  prctl(PR_SET_NAME, "contextd-init");
  listen_for_children();
  tell_ready(status_pipe);
  dup3(orders, CONTROL_FD, O_CLOEXEC);
  close_from(CONTROL_FD + 1, false);
  orders = CONTROL_FD;
  sigset_t none;
  sigemptyset(&none);
  for (bool was_alone = false;;) {
    pollfd ready{orders, POLLIN, 0};
    int n = ppoll(&ready, 1, was_alone ? &stay_alone : &look_again, &none);
    if (n > 0 && !((ready.revents & POLLIN) && take_order(orders))) orders = -1;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    // After every wake-up, whatever it was for: a signal may have come with it.
    bool is_alone = alone();
    if (is_alone && was_alone && n == 0) _exit(0);
    was_alone = is_alone;
  }
}

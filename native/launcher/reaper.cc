#include "reaper.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "become.h"
#include "report.h"

namespace {

void on_child(int) {}

// kill(2): -1 reaches every process of this PID namespace but its init and the caller, here one and the same.
bool alone() { return kill(-1, 0) < 0 && errno == ESRCH; }

// Guest processes live beside this one, and with SYS_PTRACE they may trace it: it holds no more than bcaps, so it
// can give a new init no more, and what it cannot take away (no SETPCAP) it must not pass on.
Failed become_init(const Spec& spec) {
  if (!holds_exactly(spec.bcaps)) return {EPERM, "prctl", "bcaps have changed since the context's first process"};
  if (Failed failed = take_user(spec); failed.code) return failed;
  reset_signals();
  return start_command(spec);
}

Failed take_order(int control) {
  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  Failed failed;
  if (int err = read_spec_message(control, &buffer, &header))
    failed = {err, "read", "launcher message"};
  else if (int bad = parse_spec(buffer, header, &spec))
    failed = {bad, "launcher", "launcher message"};
  else
    failed = become_init(spec);
  // Still here: it failed. The strings of `failed` are constants but for the detail, which dies with the buffer.
  ChildMessage message = failure_message(failed.code, failed.call, failed.detail);
  free(buffer);
  ssize_t ignored = send(control, &message, sizeof message, MSG_NOSIGNAL);
  (void)ignored;
  return failed;
}

}  // namespace

void run_reaper(int control) {
  prctl(PR_SET_NAME, "contextd-init");
  sigset_t blocked, waiting;
  sigemptyset(&waiting);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  for (;;) {
    // Again after each failed order, which resets dispositions. With a handler the signal also comes from
    // outside the namespace: that is how the joining launcher tells that a process of its own has ended.
    struct sigaction action {};
    action.sa_handler = on_child;
    sigaction(SIGCHLD, &action, nullptr);
    sigprocmask(SIG_BLOCK, &blocked, nullptr);
    pollfd ready{control, POLLIN, 0};
    int n = ppoll(&ready, 1, nullptr, &waiting);
    if (n < 0 && errno == EINTR) {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      if (alone()) _exit(0);
    } else if (n > 0 && (ready.revents & POLLIN)) {
      if (take_order(control).code == EPIPE) control = -1;
    } else if (n > 0) {
      control = -1;  // poll(2) ignores it from now on; the shim is gone, reaping goes on
    }
  }
}

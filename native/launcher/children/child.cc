#include "child.h"

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

#include "../../syscalls.h"
#include "../../vserver/commands.h"
#include "../vserver/list.h"

bool has_ended(const Child& child) {
  // Without pidfds: the signals that were told of; whose they were is asked below.
  signalfd_siginfo told;
  while (child.xid != 0 && read(child.ended, &told, sizeof told) == static_cast<ssize_t>(sizeof told)) {
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
    return true;
  // A guest may make others as fast as they are waited for.
  constexpr int most = 64;
  for (int i = 0; i < most; i++) {
    info = {};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return false;
    if (info.si_pid == child.pid) return true;
    waitpid(info.si_pid, nullptr, WNOHANG);
  }
  return false;
}

bool is_childless() { return waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

void reap_soon(const Child& child) {
  for (long waited = 0; waited < reap_limit_ms; waited += 5) {
    if (waitpid(child.pid, nullptr, WNOHANG) != 0) return;
    usleep(5000);
  }
}

void kill_child(const Child& child) {
  if (child.xid == 0) {
    sys_pidfd_send_signal(child.ended, SIGKILL);
    return;
  }
  kill(child.pid, SIGKILL);  // still on the host
  vserver::ctx_kill(child.xid, child.pid, SIGKILL);
}

void kill_group(const Child& child) {
  kill_child(child);
  // It leads its own session.
  if (child.xid == 0)
    kill(-child.pid, SIGKILL);
  else
    kill_vserver_group(child.xid, child.pid);
}

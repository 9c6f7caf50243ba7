#include "probe.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

#include "../../syscalls.h"
#include "../process/seccomp.h"
#include "../protocol/failure.h"
#include "../protocol/report.h"
#include "../protocol/spec.h"

int run_probe(const GuestMounts& mounts) {
  if (mounts.failed.code) return give_up(mounts.failed);
  if (unshare(CLONE_NEWCGROUP) < 0) return give_up({errno, "unshare", ""});
  CloneArgs args{};
  args.flags = CLONE_NEWPID | CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = CGROUP_FD;
  pid_t pid = sys_clone3(args);
  if (pid < 0) return give_up({errno, "clone3", ""});
  if (pid == 0) _exit(0);
  waitpid(pid, nullptr, 0);
  if (Failed failed = refuse_guests_calls(false); failed.code) return give_up(failed);
  send_text(Frame::started, "%d", pid);
  return 0;
}

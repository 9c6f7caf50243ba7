#include "inheritance.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <initializer_list>

static constexpr rlim_t default_soft_files = 1024;  // what select(2) can take, and what systemd gives

// What the kernel counts for all that a uid has, the host's own processes and every guest's among it, is lowered to
// half: however much guests use, the host's uid 0 has the other half.
static void leave_half_to_host(__rlimit_resource resource) {
  rlimit limit;
  if (getrlimit(resource, &limit) < 0 || limit.rlim_max == RLIM_INFINITY) return;
  limit.rlim_max /= 2;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  setrlimit(resource, &limit);
}

void shed_inheritance() {
  // Node raises its soft limit to the hard one; programs that walk all descriptors up to it would crawl.
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > default_soft_files) {
    files.rlim_cur = default_soft_files;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  // The priority of a daemon is not its guests', and what LimitNICE= or LimitRTPRIO= give to it would raise theirs
  // without a capability.
  setpriority(PRIO_PROCESS, 0, 0);
  for (auto resource : {RLIMIT_NICE, RLIMIT_RTPRIO}) {
    constexpr rlimit nothing{0, 0};
    setrlimit(resource, &nothing);
  }
  for (auto resource : {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE}) leave_half_to_host(resource);
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    ssize_t ignored = write(score, "0", 1);  // lowering it may need CAP_SYS_RESOURCE, raising it does not
    (void)ignored;
    close(score);
  }
}

void take_own_keyring() { syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr); }

// contextd-launcher: the helper that becomes a guest's process. Started by the daemon only, never by hand, and
// before it is needed: it gets ready, then waits for its one order.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "become.h"
#include "join.h"
#include "mounts.h"
#include "report.h"
#include "shim.h"
#include "spec.h"
#include "syscalls.h"

int main(int argc, char** argv) {
  struct stat control;
  if (argc != 2 || fstat(CONTROL_FD, &control) < 0 || !S_ISSOCK(control.st_mode)) {
    fputs("contextd-launcher: started by the contextd daemon, not by hand\n", stderr);
    return 2;
  }
  // The daemon opens everything close-on-exec; a library in it that does not must not reach a guest either.
  sys_close_range(CONTROL_FD + 1, ~0u, 0);
  // Reserves 4 and 5 for what comes with the order.
  for (int fd : {CGROUP_FD, PID1_FD})
    if (open("/dev/null", O_PATH | O_CLOEXEC) != fd) return 2;
  // The daemon's working directory is no business of a guest's.
  if (chdir("/") < 0) return 2;
  prctl(PR_SET_NAME, "contextd-shim");
  // CVE-2016-9962: nothing of this process's memory or descriptors is for a guest to read while it joins one.
  prctl(PR_SET_DUMPABLE, 0);
  shed_inheritance();
  GuestMounts mounts;
  if (!strcmp(argv[1], "shim")) mounts = prepare_mounts();

  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  int err = read_spec_message(CONTROL_FD, &buffer, &header, true);
  if (err == EPIPE) return 0;  // never needed
  if (err) return send_failure(make_failure(err, "recvmsg", "launcher message")), 1;
  err = parse_spec(buffer, header, &spec);
  if (err) return send_failure(make_failure(err, "launcher", "launcher message")), 1;
  switch (spec.mode) {
    case Mode::probe: return run_probe();
    case Mode::init:
    case Mode::reaper: return run_shim(spec, mounts);
    case Mode::exec: return run_join(spec);
    case Mode::none: break;
  }
  return 2;
}

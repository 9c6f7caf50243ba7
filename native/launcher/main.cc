// contextd-launcher: the helper that becomes a guest's process. Started by the daemon only, never by hand.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "become.h"
#include "join.h"
#include "report.h"
#include "shim.h"
#include "spec.h"
#include "syscalls.h"

int main() {
  struct stat control;
  if (fstat(CONTROL_FD, &control) < 0 || !S_ISSOCK(control.st_mode)) {
    fputs("contextd-launcher: started by the contextd daemon, not by hand\n", stderr);
    return 2;
  }
  // The daemon opens everything close-on-exec; a library in it that does not must not reach a guest either.
  sys_close_range(PID1_FD + 1, ~0u, 0);
  prctl(PR_SET_NAME, "contextd-shim");
  // CVE-2016-9962: nothing of this process's memory or descriptors is for a guest to read while it joins one.
  prctl(PR_SET_DUMPABLE, 0);
  reset_signals();

  char* buffer = nullptr;
  SpecHeader header{};
  Spec spec;
  if (int err = read_spec_message(CONTROL_FD, &buffer, &header))
    return send_failure(failure_message(err, "read", "launcher message").failure), 1;
  if (int err = parse_spec(buffer, header, &spec))
    return send_failure(failure_message(err, "launcher", "launcher message").failure), 1;
  switch (spec.mode) {
    case Mode::probe: return run_probe();
    case Mode::init:
    case Mode::reaper: return run_shim(spec);
    case Mode::exec: return run_join(spec);
    case Mode::none: break;
  }
  return 2;
}

// Launchers that an earlier daemon started.
#pragma once
#include <sys/types.h>
#include <cstdint>
#include <string>

#include "../result.h"

// Sends a new socket in by a shim's door (native/launcher/protocol/door.h). `start_time` in clock ticks since boot, as
// proc(5) has it. Value: the daemon's end. ESRCH when that process is not there any more; EPERM where the kernel lets
// nobody take descriptors (pidfd_getfd(2): CAP_SYS_PTRACE, and kernel.yama.ptrace_scope below 3).
Result connect_shim(pid_t pid, uint64_t start_time, uint32_t protocol);

// flock(2), shared, on the directory that goes with an order: held until the last launcher that has it ends.
void mark_at_work(int cgroup);
// Whether a launcher of any daemon works for this cgroup. Value 1 or 0; 0 too when there is no such cgroup.
Result has_launcher(const std::string& path);

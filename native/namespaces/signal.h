// Signals to a context's processes, by pidfd, so that a pid that changes hands is never hit.
#pragma once
#include <sys/types.h>
#include <string>

#include "../result.h"

// A context's processes, by its cgroup.
struct Members {
  std::string path;  // directory of the cgroup
  std::string line;  // how /proc/PID/cgroup names the cgroup: "0::/contextd/contexts/100"
};

// pidfd_open(2), then a check that the process is in the cgroup; ESRCH when it is not. Value: the descriptor.
Result open_member(const Members& members, pid_t pid);

// Sends to one member. To `init`, PID 1 of a PID namespace, the kernel drops a signal whose action is the default
// one; elsewhere it would end the process, so it is ended with SIGKILL, as on a Linux-VServer kernel.
Result signal_member(const Members& members, pid_t pid, int sig, pid_t init);

// Sends to every member but `except`, again and again until a pass finds nobody new. Value: how many were reached.
Result signal_members(const Members& members, int sig, pid_t init, pid_t except);

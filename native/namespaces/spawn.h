// Starting the launcher.
#pragma once
#include <sys/types.h>
#include <string>

#include "result.h"

// CVE-2019-5736: guests can reach the file their processes were started from. They get a sealed copy in memory,
// so neither the file on disk nor the copy can be written through them. Value: descriptor of the copy.
Result sealed_copy(const std::string& path);

// Runs the launcher with a new socket, the cgroup directory and, when not -1, the pidfd of a context's PID 1 on the
// descriptors that launcher/spec.h names, /dev/null on 0-2, and nothing else. Value: the launcher's pid.
Result spawn_launcher(int launcher, int cgroup, int pid1, int* socket);

// waitpid(2) without waiting. Value 1: reaped (or not our child); 0: still running.
Result reap(pid_t pid);

// openat2(2) with RESOLVE_NO_SYMLINKS: fails as the launcher would for a guest root that is no directory
// (ENOTDIR), is reached through a symbolic link (ELOOP), or is not there (ENOENT).
Result check_root(const std::string& path);

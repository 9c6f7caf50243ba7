// Starting the launcher.
#pragma once
#include <sys/types.h>
#include <initializer_list>
#include <string>

#include "../launcher/protocol/spec.h"
#include "../result.h"

// What launchers are started with, made once.
struct LauncherFiles {
  int program;  // the launcher, in a file system of its own
  int null;     // /dev/null, for descriptors 0-2
};

// CVE-2019-5736: a guest can reach the file that its processes were started from, and the files on its descriptors.
// The launcher is copied into a tmpfs that is attached nowhere, and both it and /dev/null are opened through mounts
// that are read-only: no write, no chmod, no chown reaches the host's file or another guest.
// Before Linux 5.2 a sealed copy in memory takes its place, and /dev/null is the host's.
Result prepare_launcher(const std::string& path, LauncherFiles* files);

// Starts the zygote: files.null on 0-2, the other end of `socket` on CONTROL_FD, what counts forks (-1: nothing does)
// on FORKS_FD and FORKS_MAP_FD, and nothing else. Value: its pid.
Result start_zygote(const LauncherFiles& files, int forks, int forks_map, int* socket);

// Has the zygote fork a launcher, which gets ready and waits for its order. Value: the daemon's end of its socket.
Result fork_launcher(int zygote, Wanted wanted);

// Sends an order, whole or not at all (EMSGSIZE), with those descriptors that are not -1, in the order of order_fds
// (native/launcher/protocol/spec.h); its header says which.
Result send_order(int socket, const void* data, size_t size, std::initializer_list<int> descriptors);

// waitpid(2) without waiting. Value 1: reaped (or not our child); 0: still running.
Result reap(pid_t pid);

// openat2(2) with RESOLVE_NO_SYMLINKS: fails as the launcher would for a guest root that is no directory
// (ENOTDIR), is reached through a symbolic link (ELOOP), or is not there (ENOENT).
Result check_root(const std::string& path);

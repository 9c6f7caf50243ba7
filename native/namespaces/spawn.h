// Starting the launcher.
#pragma once
#include <sys/types.h>
#include <string>

#include "result.h"

// What launchers are started with, made once.
struct LauncherFiles {
  int program;  // the launcher, in a file system of its own
  int null;     // /dev/null, for descriptors 0-2
};

// CVE-2019-5736: a guest can reach the file that its processes were started from, and the files on its descriptors.
// The launcher is copied into a tmpfs that is attached nowhere, and both it and /dev/null are opened through mounts
// that are read-only: no write, no chmod, no chown reaches the host's file or another guest.
Result prepare_launcher(const std::string& path, LauncherFiles* files);

// Starts the zygote: files.null on 0-2, the other end of `socket` on CONTROL_FD, and nothing else. Value: its pid.
Result start_zygote(const LauncherFiles& files, int* socket);

// Has the zygote fork a launcher that makes mounts ("shim") or joins what is there ("exec"), which gets ready and waits
// for its order. Value: the daemon's end of the launcher's socket.
Result fork_launcher(int zygote, bool makes_mounts);

// Sends an order with up to two descriptors (-1: none), whole or not at all (EMSGSIZE).
Result send_order(int socket, const void* data, size_t size, int cgroup, int pid1);

// waitpid(2) without waiting. Value 1: reaped (or not our child); 0: still running.
Result reap(pid_t pid);

// openat2(2) with RESOLVE_NO_SYMLINKS: fails as the launcher would for a guest root that is no directory
// (ENOTDIR), is reached through a symbolic link (ELOOP), or is not there (ENOENT).
Result check_root(const std::string& path);

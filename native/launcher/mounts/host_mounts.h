// The host's mounts, and whether they have changed.
#pragma once
#include <cstddef>

// Polls with POLLPRI when the mounts of the caller's namespace have changed since (proc(5), /proc/PID/mounts).
// Returns a descriptor or -1.
int open_mount_list();
bool has_changed(int mount_list);

// In the zygote, before it makes a launcher with mounts: where the host has cgroup trees, so that not each of them
// reads the whole list. Returns what polls when that is not so any more, host_list of the next launcher, or -1.
int look_at_host_mounts();
// In a launcher, for it is the zygote's.
void close_host_watch();

// What look_at_host_mounts has seen. Launchers are copies of the zygote, and have it from there.
struct HostCgroups {
  char* paths = nullptr;  // each with its NUL
  size_t size = 0;
  bool is_known = false;
};
const HostCgroups& host_cgroups();

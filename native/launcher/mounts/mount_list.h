// The mounts of this namespace, as /proc/self/mountinfo tells (proc(5)).
#pragma once

struct ListedMount {
  const char* path;
  const char* options;
  const char* type;
};

// Calls `look` for each, in the order of the kernel: of those on one path the last is on top. All is read before the
// first call, so `look` may change mounts. `proc` is a directory with a procfs that shows the caller. Returns 0 or an
// errno.
int for_each_mount(int proc, void (*look)(const ListedMount& mount, void* context), void* context);

#include "host_mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>

#include "../protocol/spec.h"
#include "guest_files.h"
#include "mount_list.h"

namespace {

int watch = -1;
HostCgroups cgroups;

void add_cgroup(const ListedMount& listed, void*) {
  if (!is_cgroup(listed.type) || !cgroups.is_known) return;
  size_t more = strlen(listed.path) + 1;
  char* grown = static_cast<char*>(realloc(cgroups.paths, cgroups.size + more));
  cgroups.is_known = grown != nullptr;
  if (!grown) return;
  memcpy(grown + cgroups.size, listed.path, more);
  cgroups.paths = grown;
  cgroups.size += more;
}

}  // namespace

int open_mount_list() { return openat(PROC_FD, "self/mountinfo", O_RDONLY | O_CLOEXEC); }

bool has_changed(int mount_list) {
  pollfd list{mount_list, POLLPRI, 0};
  return poll(&list, 1, 0) != 0;
}

int look_at_host_mounts() {
  int list = open_mount_list();  // before the look, so that what changes meanwhile is told of
  bool is_first = watch < 0;
  if (is_first) watch = open_mount_list();
  if (is_first || has_changed(watch)) {
    cgroups.size = 0;
    cgroups.is_known = watch >= 0;
    if (for_each_mount(PROC_FD, add_cgroup, nullptr) != 0) cgroups.is_known = false;
  }
  return list;
}

void close_host_watch() {
  if (watch >= 0) close(watch);
}

const HostCgroups& host_cgroups() { return cgroups; }

#include "cover.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include "../../syscalls.h"
#include "../protocol/spec.h"
#include "guest_files.h"
#include "host_mounts.h"
#include "mount_list.h"

namespace {

struct Cover {
  int root;
  GuestMounts* mounts;
  Failed failed;
};

bool is_in_cgroup_tree(int fd) {
  struct statfs info;
  return fstatfs(fd, &info) == 0 && (info.f_type == CGROUP_SUPER_MAGIC || info.f_type == CGROUP2_SUPER_MAGIC);
}

// Hides what is at this path below the root, if anything is. A link there leads to what has a path of its own.
Failed cover(int root, const char* path, GuestMounts* m, bool* was_cgroup = nullptr) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT;
  int target = sys_openat2(root, path, how);
  if (target < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? Failed{} : Failed{errno, "openat2", path};
  struct stat info;
  if (fstat(target, &info) < 0) return {errno, "fstat", path};
  if (was_cgroup) *was_cgroup = is_in_cgroup_tree(target);
  bool is_directory = S_ISDIR(info.st_mode);
  int mount = is_directory ? m->empty : sys_open_tree(m->dev, "null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (mount < 0) return {errno, "open_tree", path};
  if (sys_move_mount(mount, target) < 0) return {errno, "move_mount", path};
  // A mount can be attached once. From then on it can be cloned, before Linux 6.15 from then on only.
  if (is_directory) m->empty = sys_open_tree(mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (m->empty < 0) return {errno, "open_tree", path};
  close(mount);
  close(target);
  return {};
}

Failed cover_cgroup(int root, const char* path, GuestMounts* m, bool* was_there = nullptr) {
  Failed failed = cover(root, path, m, was_there);
  failed.detail = "a mount of a cgroup tree";  // the path does not outlive this call
  return failed;
}

void cover_listed(const ListedMount& listed, void* context) {
  auto* c = static_cast<Cover*>(context);
  if (!c->failed.code && is_cgroup(listed.type)) c->failed = cover_cgroup(c->root, listed.path, c->mounts);
}

bool is_covered_in_sys(const char* path) {
  for (const char* covered : covered_in_sys) {
    const size_t size = strlen(covered);
    if (!strncmp(path, covered, size) && (path[size] == '/' || path[size] == '\0')) return true;
  }
  return false;
}

}  // namespace

Failed cover_host(int root, GuestMounts* m, bool is_host) {
  struct statfs sys;
  const bool has_sysfs = statfs("/sys", &sys) == 0 && sys.f_type == SYSFS_MAGIC;
  if (has_sysfs)
    for (const char* path : covered_in_sys)
      if (Failed failed = cover(root, path, m); failed.code) return failed;
  // A directory above a mount may be renamed, which nobody is told of.
  const auto& [paths, size, is_known] = host_cgroups();
  bool is_current = is_host && is_known;
  for (const char* path = paths; is_current && path < paths + size; path += strlen(path) + 1) {
    if (has_sysfs && is_covered_in_sys(path)) continue;
    bool was_there = false;
    if (Failed failed = cover_cgroup(root, path, m, &was_there); failed.code) return failed;
    is_current = was_there;
  }
  if (is_current) return {};
  Cover c{root, m, {}};
  if (int err = for_each_mount(PROC_FD, cover_listed, &c)) return {err, "read", "/proc/self/mountinfo"};
  return c.failed;
}

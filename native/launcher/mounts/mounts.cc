#include "mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

#include "cover.h"
#include "host_mounts.h"
#include "mount_calls.h"
#include "own_files.h"
#include "proc.h"
#include "root.h"

namespace {

constexpr int most_rebuilds = 20;

// All of a guest that sees the host's root, in a mount namespace of its own. `host_list`: the zygote's, or -1.
Failed build(GuestMounts* m, int host_list) {
  m->host_list = host_list < 0 ? open_mount_list() : host_list;
  if (m->host_list < 0) return {errno, "open", "/proc/self/mountinfo"};
  if (unshare(CLONE_NEWNS) < 0) return {errno, "unshare", "CLONE_NEWNS"};
  // Still following the host, so that what is unmounted there does not stay busy because of an idle launcher.
  if (set_attributes(AT_FDCWD, "/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, MS_SLAVE) < 0)
    return {errno, "mount_setattr", "/"};
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return {errno, "open", "/"};
  mode_t mask = umask(0);
  Failed failed = mount_own(root, m);
  umask(mask);
  if (!failed.code) failed = cover_host(root, m, host_list >= 0);
  close(root);
  return failed;
}

Failed rebuild(GuestMounts* m) {
  for (int fd : {m->host_list, m->dev, m->empty}) close(fd);
  for (int fd : m->over_proc)
    if (fd >= 0) close(fd);
  if (setns(m->host, CLONE_NEWNS) < 0) return {errno, "setns", "CLONE_NEWNS"};
  return build(m, -1);
}

}  // namespace

GuestMounts prepare_mounts(int host_list) {
  GuestMounts m;
  for (int& mount : m.over_proc) mount = -1;
  m.host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (m.host < 0)
    m.failed = {errno, "open", "/proc/self/ns/mnt"};
  else if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0)
    m.failed = {errno, "unshare", "CLONE_NEWIPC"};
  else
    m.failed = build(&m, host_list);
  return m;
}

Failed finish_mounts(const Spec& spec, GuestMounts* m) {
  if (m->failed.code) return m->failed;
  // First nothing of the host comes any more, then what has come is looked at: a mount in between would be writable.
  for (int tries = 0;; tries++) {
    if (set_attributes(AT_FDCWD, "/", AT_RECURSIVE, 0, MS_PRIVATE) < 0) return {errno, "mount_setattr", "/"};
    if (!has_changed(m->host_list)) break;
    if (tries == most_rebuilds) return {EAGAIN, "mount_setattr", "the mounts of the host change all the time"};
    if (Failed failed = rebuild(m); failed.code) return failed;
  }
  open_lxcfs(spec, m);  // out of reach from the guest's own root
  if (spec.root)
    if (Failed failed = enter_root(spec.root, m); failed.code) return failed;
  for (int* fd : {&m->host_list, &m->host}) {
    close(*fd);
    *fd = -1;
  }
  return {};
}

#include "root.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <cerrno>

#include "../../syscalls.h"
#include "../protocol/spec.h"
#include "cover.h"
#include "mount_calls.h"

// The directory and all that is mounted below it, as the host sees it. Whoever can write above it could swap a
// component for a symbolic link: none is followed.
static Failed clone_root(const char* path, const GuestMounts& m, int* tree) {
  int own = openat(PROC_FD, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (own < 0) return {errno, "open", "/proc/self/ns/mnt"};
  if (setns(m.host, CLONE_NEWNS) < 0) return {errno, "setns", "CLONE_NEWNS"};
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int dir = sys_openat2(AT_FDCWD, path, how);
  if (dir < 0) return {errno, "openat2", path};
  *tree = sys_open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (*tree < 0) return {errno, "open_tree", path};
  if (setns(own, CLONE_NEWNS) < 0) return {errno, "setns", "CLONE_NEWNS"};
  close(dir);
  close(own);
  return {};
}

Failed enter_root(const char* path, GuestMounts* m) {
  int tree = -1;
  if (Failed failed = clone_root(path, *m, &tree); failed.code) return failed;
  // A device node in an image is none of the guest's business, as on the host's root.
  if (set_attributes(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, MOUNT_ATTR_NODEV, MS_PRIVATE) < 0)
    return {errno, "mount_setattr", path};
  int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old_root < 0) return {errno, "open", "/"};
  if (Failed failed = attach(tree, old_root, "tmp"); failed.code) return failed;
  if (Failed failed = attach(m->dev, tree, "dev"); failed.code) return failed;
  if (fchdir(tree) < 0) return {errno, "fchdir", path};
  // pivot_root(".", ".") stacks the old root on the new one, so no directory for it is needed (pivot_root(2), NOTES).
  if (sys_pivot_root(".", ".") < 0) return {errno, "pivot_root", path};
  if (sys_umount_detach(".") < 0) return {errno, "umount2", path};
  if (chdir("/") < 0) return {errno, "chdir", "/"};
  close(old_root);
  Failed failed = cover_host(tree, m);
  close(tree);
  return failed;
}

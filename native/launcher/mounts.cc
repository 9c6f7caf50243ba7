#include "mounts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cerrno>

#include "report.h"
#include "syscalls.h"

namespace {

struct Fresh {
  const char* type;
  const char* target;
  unsigned long flags;
  const char* options;
  bool host_root_only;  // a guest with its own root brings its own /run and /tmp
};

constexpr Fresh fresh_mounts[] = {
    {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr, false},
    {"tmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k", false},
    // The host's sockets live in /run and /tmp, ours among them: none may be within a guest's reach.
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755", true},
    {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", true},
};

struct Device {
  const char* path;
  unsigned major, minor;
};
// What a program may expect without MKNOD (Documentation/admin-guide/devices.txt, section "Compulsory links").
constexpr Device devices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                              {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

struct Link {
  const char* path;
  const char* to;
};
constexpr Link links[] = {{"/dev/fd", "/proc/self/fd"},
                          {"/dev/stdin", "/proc/self/fd/0"},
                          {"/dev/stdout", "/proc/self/fd/1"},
                          {"/dev/stderr", "/proc/self/fd/2"},
                          {"/dev/ptmx", "pts/ptmx"}};

// Writable by uid 0 without any capability, and they act on the host: core_pattern, sysrq, interrupt routing.
constexpr const char* read_only_paths[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"};

void mount_fresh(const Fresh& m, int pipe_fd) {
  if (sys_mount(m.type, m.target, m.type, m.flags, m.options) < 0) fail_child(pipe_fd, errno, "mount", m.target);
}

void make_read_only(const char* path, int pipe_fd) {
  int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) {
    if (errno == ENOENT) return;  // not every kernel configuration has every path
    fail_child(pipe_fd, errno, "open_tree", path);
  }
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (sys_mount_setattr(tree, "", AT_EMPTY_PATH, attr) < 0) fail_child(pipe_fd, errno, "mount_setattr", path);
  if (sys_move_mount(tree, AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) fail_child(pipe_fd, errno, "move_mount", path);
  close(tree);
}

void enter_root(const char* root, int pipe_fd) {
  mount_attr private_tree{};
  private_tree.propagation = MS_PRIVATE;
  if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, private_tree) < 0)
    fail_child(pipe_fd, errno, "mount_setattr", "/");
  // Whoever can write above the root could swap a component for a symlink: none is followed (openat2(2)).
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int dir = sys_openat2(AT_FDCWD, root, how);
  if (dir < 0) fail_child(pipe_fd, errno, "openat2", root);
  int tree = sys_open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree < 0) fail_child(pipe_fd, errno, "open_tree", root);
  if (sys_move_mount(tree, dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    fail_child(pipe_fd, errno, "move_mount", root);
  if (fchdir(tree) < 0) fail_child(pipe_fd, errno, "fchdir", root);
  // pivot_root(".", ".") stacks the old root on the new one, so no directory for it is needed (pivot_root(2), NOTES).
  if (sys_pivot_root(".", ".") < 0) fail_child(pipe_fd, errno, "pivot_root", root);
  if (sys_umount_detach(".") < 0) fail_child(pipe_fd, errno, "umount2", root);
  if (chdir("/") < 0) fail_child(pipe_fd, errno, "chdir", "/");
  close(dir);
  close(tree);
}

void share_host_root(int pipe_fd) {
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  attr.propagation = MS_PRIVATE;
  if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, attr) < 0) fail_child(pipe_fd, errno, "mount_setattr", "/");
}

void fill_dev(int pipe_fd) {
  mode_t old_mask = umask(0);
  for (const auto& d : devices)
    if (mknod(d.path, S_IFCHR | 0666, makedev(d.major, d.minor)) < 0) fail_child(pipe_fd, errno, "mknod", d.path);
  for (const auto& l : links)
    if (symlink(l.to, l.path) < 0) fail_child(pipe_fd, errno, "symlink", l.path);
  if (mkdir("/dev/shm", 01777) < 0 || mkdir("/dev/pts", 0755) < 0) fail_child(pipe_fd, errno, "mkdir", "/dev");
  umask(old_mask);
  mount_fresh({"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5", false},
              pipe_fd);
  mount_fresh({"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false}, pipe_fd);
}

}  // namespace

void set_up_mounts(const Spec& spec, int pipe_fd) {
  if (spec.root)
    enter_root(spec.root, pipe_fd);
  else
    share_host_root(pipe_fd);
  for (const auto& m : fresh_mounts) {
    if (m.host_root_only && spec.root) continue;
    // A minimal root may lack a directory; what it cannot hold it does not need.
    if (spec.root && mkdir(m.target, 0755) < 0 && errno != EEXIST && errno != EROFS)
      fail_child(pipe_fd, errno, "mkdir", m.target);
    mount_fresh(m, pipe_fd);
  }
  fill_dev(pipe_fd);
  for (const char* path : read_only_paths) make_read_only(path, pipe_fd);
}

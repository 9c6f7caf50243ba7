#include "classic.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../process/status_pipe.h"
#include "guest_files.h"
#include "mount_list.h"

// <sys/mount.h> cannot be included beside syscalls.h (glibc 2.36).
#include <sys/syscall.h>

namespace {

constexpr unsigned long data_only = MS_NOSUID | MS_NODEV;
constexpr unsigned long devices_only = MS_NOSUID | MS_NOEXEC;
constexpr unsigned long kernel_files = MS_NOSUID | MS_NODEV | MS_NOEXEC;

[[noreturn]] void fail(int pipe_fd, const char* call, const char* detail) { fail_child(pipe_fd, errno, call, detail); }

// Not O_PATH: fchdir(2) takes such a descriptor since Linux 3.5 only.
constexpr int a_directory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

void mount_or_fail(int pipe_fd, const char* from, const char* to, const char* type, unsigned long flags,
                   const char* options) {
  if (mount(from, to, type, flags, options) < 0) fail(pipe_fd, "mount", from);
}

// One component at a time, no symbolic link followed: whoever can write above the root could swap one in.
int open_directory(const char* path, int pipe_fd) {
  // "/" alone is what lies below a mount that is stacked on it; its parent, itself, is what lies on top.
  int dir = open("/..", a_directory);
  for (const char* at = path; dir >= 0;) {
    while (*at == '/') at++;
    size_t size = strcspn(at, "/");
    if (size == 0) return dir;
    char name[NAME_MAX + 1];
    if (size >= sizeof name) fail_child(pipe_fd, ENAMETOOLONG, "openat", path);
    memcpy(name, at, size);
    name[size] = '\0';
    int next = openat(dir, name, a_directory | O_NOFOLLOW);
    // A link is no directory (ENOTDIR); what a caller can act on is that it is a link.
    if (struct stat info; next < 0 && errno == ENOTDIR && fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
      errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
    int saved = errno;
    close(dir);
    errno = saved;
    dir = next;
    at += size;
  }
  fail(pipe_fd, "openat", path);
}

void go_to(int dir, const char* path, int pipe_fd) {
  if (fchdir(dir) < 0) fail(pipe_fd, "fchdir", path);
}

// pivot_root(".", ".") stacks the old root on the new one (pivot_root(2), NOTES). Unlike after chroot(2), there is
// nothing outside that a guest with SYS_CHROOT could climb to.
void enter_root(const char* path, int pipe_fd) {
  go_to(open_directory(path, pipe_fd), path, pipe_fd);
  mount_or_fail(pipe_fd, ".", ".", nullptr, MS_BIND | MS_REC, nullptr);
  // The bind mount lies on the directory that we are in; only a walk from above reaches it.
  go_to(open_directory(path, pipe_fd), path, pipe_fd);
  if (syscall(SYS_pivot_root, ".", ".") < 0) fail(pipe_fd, "pivot_root", path);
  if (umount2(".", MNT_DETACH) < 0) fail(pipe_fd, "umount2", path);
  if (chdir("/") < 0) fail(pipe_fd, "chdir", "/");
}

// A remount sets every flag, so those that are there are given again.
unsigned long flags_of(const char* options) {
  static const struct {
    const char* name;
    unsigned long flag;
  } known[] = {{"ro", MS_RDONLY},       {"nosuid", MS_NOSUID},         {"nodev", MS_NODEV},      {"noexec", MS_NOEXEC},
               {"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME}};
  unsigned long flags = 0;
  for (const char* at = options; *at;) {
    size_t size = strcspn(at, ",");
    for (const auto& k : known)
      if (strlen(k.name) == size && !strncmp(k.name, at, size)) flags |= k.flag;
    at += size;
    if (*at == ',') at++;
  }
  return flags;
}

struct Restriction {
  unsigned long more;
  int pipe_fd;
};

void restrict_mount(const ListedMount& listed, void* context) {
  const auto* r = static_cast<const Restriction*>(context);
  if (mount(nullptr, listed.path, nullptr, MS_REMOUNT | MS_BIND | flags_of(listed.options) | r->more, nullptr) == 0)
    return;
  if (errno == EINVAL || errno == ENOENT || errno == ENOTDIR) return;
  // A file system that does not answer, somebody's dead FUSE or NFS mount, is left out instead.
  int saved = errno;
  if (umount2(listed.path, MNT_DETACH) == 0) return;
  errno = saved;
  fail(r->pipe_fd, "mount", listed.path);
}

void look_at_mounts(void (*look)(const ListedMount&, void*), void* context, int pipe_fd) {
  int proc = open("/proc", a_directory);
  if (proc < 0) fail(pipe_fd, "open", "/proc");
  if (int err = for_each_mount(proc, look, context)) fail_child(pipe_fd, err, "read", "/proc/self/mountinfo");
  close(proc);
}

// `more` flags for every mount of the namespace. One that lies hidden below another cannot be reached, by us or by a
// guest.
void restrict_mounts(unsigned long more, int pipe_fd) {
  Restriction restriction{more, pipe_fd};
  look_at_mounts(restrict_mount, &restriction, pipe_fd);
}

// A directory in the guest's root, made when it is missing. A link there is not followed.
int open_target(int root, const char* name, int pipe_fd) {
  if (mkdirat(root, name, 0755) < 0 && errno != EEXIST && errno != EROFS) fail(pipe_fd, "mkdirat", name);
  int dir = openat(root, name, a_directory | O_NOFOLLOW);
  if (dir < 0) fail(pipe_fd, "openat", name);
  return dir;
}

// Mounts on a directory of the guest's root; returns its descriptor on the new mount.
int mount_in(int root, const char* name, const char* type, unsigned long flags, const char* options, int pipe_fd) {
  int target = open_target(root, name, pipe_fd);
  go_to(target, name, pipe_fd);
  mount_or_fail(pipe_fd, type, ".", type, flags, options);
  close(target);
  return open_target(root, name, pipe_fd);
}

// Before Linux 5.8 a PID namespace has one procfs, which cannot be mounted on itself (EBUSY, do_add_mount of
// fs/namespace.c). What lies there, the host's or an image's, is taken away with all that is mounted below it, so that
// there is nothing of it to be uncovered either.
void remove_proc(int root, const char* name, int pipe_fd) {
  for (;;) {
    int target = open_target(root, name, pipe_fd);
    go_to(target, name, pipe_fd);
    close(target);
    struct statfs there;
    if (statfs(".", &there) < 0) fail(pipe_fd, "statfs", name);
    if (there.f_type != PROC_SUPER_MAGIC) return;
    if (umount2(".", MNT_DETACH) < 0) fail(pipe_fd, "umount2", name);
  }
}

void fill_dev(int dev, int pipe_fd) {
  for (const Device& d : guest_devices)
    if (mknodat(dev, d.name, S_IFCHR | 0666, makedev(d.major, d.minor)) < 0) fail(pipe_fd, "mknodat", d.name);
  // Not a link: Linux-VServer shows pts/ptmx to nobody but the host. The node finds the pts beside it (Linux 4.7).
  if (mknodat(dev, "ptmx", S_IFCHR | 0666, makedev(5, 2)) < 0) fail(pipe_fd, "mknodat", "ptmx");
  for (const Link& l : guest_links)
    if (strcmp(l.name, "ptmx") != 0 && symlinkat(l.to, dev, l.name) < 0) fail(pipe_fd, "symlinkat", l.name);
  close(mount_in(dev, "pts", "devpts", devices_only, pts_options, pipe_fd));
  close(mount_in(dev, "shm", "tmpfs", data_only, "mode=1777", pipe_fd));
}

// Names in a proc mount are the kernel's own, so paths will do.
void make_read_only(int proc, int pipe_fd) {
  go_to(proc, "proc", pipe_fd);
  for (const ReadOnly& entry : read_only_in_proc) {
    if (mount(entry.path, entry.path, nullptr, MS_BIND | MS_REC, nullptr) < 0) {
      if (errno == ENOENT && !entry.required) continue;
      fail(pipe_fd, "mount", entry.path);
    }
    mount_or_fail(pipe_fd, entry.path, entry.path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kernel_files, nullptr);
  }
}

struct Cover {
  int root;
  int pipe_fd;
  int null = -1;   // the guest's own /dev/null
  int empty = -1;  // an empty read-only directory, once there is one
};

// Hides what is at this path below the root, if anything is. A link there leads to what has a path of its own.
void cover(Cover* c, const char* path) {
  while (*path == '/') path++;
  int target = openat(c->root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat info;
  if (target < 0) return;
  if (fstat(target, &info) < 0) fail(c->pipe_fd, "fstat", path);
  if (S_ISLNK(info.st_mode)) {
    close(target);
    return;
  }
  bool is_directory = S_ISDIR(info.st_mode);
  // Through /proc/self/fd nothing is looked up a second time.
  char on[32], from[32];
  snprintf(on, sizeof on, "/proc/self/fd/%d", target);
  snprintf(from, sizeof from, "/proc/self/fd/%d", is_directory ? c->empty : c->null);
  if (is_directory && c->empty < 0)
    mount_or_fail(c->pipe_fd, "tmpfs", on, "tmpfs", MS_RDONLY | kernel_files, "size=4k,nr_inodes=2,mode=555");
  else
    mount_or_fail(c->pipe_fd, from, on, nullptr, MS_BIND, nullptr);
  close(target);
  if (is_directory && c->empty < 0) {
    c->empty = openat(c->root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->empty < 0) fail(c->pipe_fd, "openat", path);
  }
}

void cover_cgroups(const ListedMount& listed, void* context) {
  if (is_cgroup(listed.type)) cover(static_cast<Cover*>(context), listed.path);
}

void cover_host(int root, int dev, int pipe_fd) {
  Cover c{root, pipe_fd};
  c.null = openat(dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (c.null < 0) fail(pipe_fd, "openat", "null");
  for (const char* path : covered_in_proc) cover(&c, path);
  struct statfs sys;
  if (statfs("/sys", &sys) == 0 && sys.f_type == SYSFS_MAGIC)
    for (const char* path : covered_in_sys) cover(&c, path);
  look_at_mounts(cover_cgroups, &c, pipe_fd);
  close(c.null);
  if (c.empty >= 0) close(c.empty);
}

}  // namespace

void set_up_classic_mounts(const Spec& spec, int pipe_fd) {
  mount_or_fail(pipe_fd, "none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  umask(0);
  // While /proc is the host's; in a root of the guest's own there is none yet.
  if (!spec.root) restrict_mounts(MS_NODEV | MS_RDONLY, pipe_fd);
  if (spec.root) enter_root(spec.root, pipe_fd);
  int root = open("/", a_directory);
  if (root < 0) fail(pipe_fd, "open", "/");
  remove_proc(root, "proc", pipe_fd);
  int proc = mount_in(root, "proc", "proc", kernel_files, nullptr, pipe_fd);
  // A device node in an image is none of the guest's business, as on the host's root.
  if (spec.root) restrict_mounts(MS_NODEV, pipe_fd);
  make_read_only(proc, pipe_fd);
  close(proc);
  int dev = mount_in(root, "dev", "tmpfs", devices_only, "mode=0755", pipe_fd);
  fill_dev(dev, pipe_fd);
  cover_host(root, dev, pipe_fd);
  close(dev);
  if (!spec.root) {
    // The host's sockets live in /run and /tmp, ours among them: none may be within a guest's reach.
    close(mount_in(root, "run", "tmpfs", data_only, "mode=0755", pipe_fd));
    close(mount_in(root, "tmp", "tmpfs", data_only, "mode=1777", pipe_fd));
  }
  close(root);
  umask(022);
  if (chdir("/") < 0) fail(pipe_fd, "chdir", "/");
}

#include "mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cerrno>
#include <initializer_list>

#include "report.h"
#include "syscalls.h"

namespace {

struct Device {
  const char* name;
  unsigned major, minor;
};
// What a program may expect without MKNOD (Documentation/admin-guide/devices.txt, section "Compulsory links").
constexpr Device devices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                              {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

struct Link {
  const char* name;
  const char* to;
};
constexpr Link links[] = {{"fd", "/proc/self/fd"},
                          {"stdin", "/proc/self/fd/0"},
                          {"stdout", "/proc/self/fd/1"},
                          {"stderr", "/proc/self/fd/2"},
                          {"ptmx", "pts/ptmx"}};

struct ReadOnly {
  const char* path;
  bool required;  // not every kernel configuration has every path
};
// Writable by uid 0 without any capability, and they act on the host: core_pattern, sysrq, interrupt routing.
constexpr ReadOnly read_only_in_proc[] = {{"sys", true}, {"sysrq-trigger", false}, {"irq", false}, {"bus", false}};

constexpr unsigned no_programs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct Option {
  const char* key;
  const char* value;
};

// fsopen(2), fsconfig(2), fsmount(2): a mount that is attached nowhere yet. Returns its descriptor or -1.
int make_mount(const char* type, unsigned attributes, std::initializer_list<Option> options) {
  int context = sys_fsopen(type);
  if (context < 0) return -1;
  int mount = -1;
  bool accepted = true;
  for (const Option& option : options)
    accepted = accepted && sys_fsconfig(context, FSCONFIG_SET_STRING, option.key, option.value) == 0;
  if (accepted && sys_fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr) == 0)
    mount = sys_fsmount(context, attributes);
  int saved = errno;
  close(context);
  errno = saved;
  return mount;
}

// Still following the host, so that what is unmounted there does not stay busy because of an idle launcher.
void unshare_early(GuestMounts* m) {
  mount_attr attr{};
  attr.propagation = MS_SLAVE;
  m->host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (m->host < 0)
    m->call = "open";
  else if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0)
    m->call = "unshare";
  else if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, attr) < 0)
    m->call = "mount_setattr";
  else
    return;
  m->code = errno;
}

// A directory of a mount as a mount of its own. Returns its descriptor or -1.
int make_part(int base, const char* name, unsigned attributes) {
  int part = sys_open_tree(base, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (part < 0) return -1;
  mount_attr attr{};
  attr.attr_set = attributes;
  if (sys_mount_setattr(part, "", AT_EMPTY_PATH, attr) == 0) return part;
  int saved = errno;
  close(part);
  errno = saved;
  return -1;
}

bool fill_dev(int dev, GuestMounts* failed) {
  auto fail = [failed](const char* call, const char* detail) {
    failed->code = errno;
    failed->call = call;
    failed->detail = detail;
    return false;
  };
  for (const auto& d : devices)
    if (mknodat(dev, d.name, S_IFCHR | 0666, makedev(d.major, d.minor)) < 0) return fail("mknodat", d.name);
  for (const auto& l : links)
    if (symlinkat(l.to, dev, l.name) < 0) return fail("symlinkat", l.name);
  if (mkdirat(dev, "shm", 01777) < 0 || mkdirat(dev, "pts", 0755) < 0) return fail("mkdirat", "dev");
  return true;
}

// A directory below `root`, made when it is missing. The guest's image or a guest that shares the root may have put
// a symbolic link there: none is followed, so nothing lands elsewhere or stays uncovered (openat2(2)).
int open_target(int root, const char* name, int pipe_fd) {
  if (mkdirat(root, name, 0755) < 0 && errno != EEXIST && errno != EROFS) fail_child(pipe_fd, errno, "mkdirat", name);
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;
  int target = sys_openat2(root, name, how);
  if (target < 0) fail_child(pipe_fd, errno, "openat2", name);
  return target;
}

void attach(int mount, int root, const char* name, int pipe_fd) {
  int target = open_target(root, name, pipe_fd);
  if (sys_move_mount(mount, target) < 0) fail_child(pipe_fd, errno, "move_mount", name);
  close(target);
}

void make_read_only(int proc, const ReadOnly& entry, int pipe_fd) {
  int tree = sys_open_tree(proc, entry.path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (tree < 0 && errno == ENOENT && !entry.required) return;
  if (tree < 0) fail_child(pipe_fd, errno, "open_tree", entry.path);
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_RDONLY | no_programs;
  if (sys_mount_setattr(tree, "", AT_EMPTY_PATH, attr) < 0) fail_child(pipe_fd, errno, "mount_setattr", entry.path);
  int target = openat(proc, entry.path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) fail_child(pipe_fd, errno, "openat", entry.path);
  if (sys_move_mount(tree, target) < 0) fail_child(pipe_fd, errno, "move_mount", entry.path);
  close(target);
  close(tree);
}

// Only here can it be made: a proc mount shows the PID namespace of its maker.
void mount_proc(int root, int pipe_fd) {
  int proc = make_mount("proc", no_programs, {});
  if (proc < 0) fail_child(pipe_fd, errno, "fsmount", "proc");
  attach(proc, root, "proc", pipe_fd);
  for (const ReadOnly& entry : read_only_in_proc) make_read_only(proc, entry, pipe_fd);
  close(proc);
}

void enter_root(const char* path, int pipe_fd) {
  mount_attr private_tree{};
  private_tree.propagation = MS_PRIVATE;
  if (sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, private_tree) < 0)
    fail_child(pipe_fd, errno, "mount_setattr", "/");
  // Whoever can write above the root could swap a component for a symlink: none is followed.
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int dir = sys_openat2(AT_FDCWD, path, how);
  if (dir < 0) fail_child(pipe_fd, errno, "openat2", path);
  int tree = sys_open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree < 0) fail_child(pipe_fd, errno, "open_tree", path);
  // A device node in an image is none of the guest's business, as on the host's root.
  mount_attr attr{};
  attr.attr_set = MOUNT_ATTR_NODEV;
  if (sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attr) < 0)
    fail_child(pipe_fd, errno, "mount_setattr", path);
  if (sys_move_mount(tree, dir) < 0) fail_child(pipe_fd, errno, "move_mount", path);
  if (fchdir(tree) < 0) fail_child(pipe_fd, errno, "fchdir", path);
  // pivot_root(".", ".") stacks the old root on the new one, so no directory for it is needed (pivot_root(2), NOTES).
  if (sys_pivot_root(".", ".") < 0) fail_child(pipe_fd, errno, "pivot_root", path);
  if (sys_umount_detach(".") < 0) fail_child(pipe_fd, errno, "umount2", path);
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

}  // namespace

GuestMounts prepare_mounts() {
  constexpr unsigned data = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  constexpr unsigned devices_only = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  GuestMounts m;
  m.pts = make_mount("devpts", devices_only, {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}});
  // One file system for all four: making and ending one is what costs time. A guest sees no way from one to another.
  int base = make_mount("tmpfs", 0, {{"mode", "700"}});
  umask(0);
  struct {
    int* mount;
    const char* name;
    mode_t mode;
    unsigned attributes;
  } parts[] = {{&m.dev, "dev", 0755, devices_only},
               {&m.shm, "shm", 01777, data},
               {&m.run, "run", 0755, data},
               {&m.tmp, "tmp", 01777, data}};
  for (const auto& part : parts)
    if (mkdirat(base, part.name, part.mode) == 0) *part.mount = make_part(base, part.name, part.attributes);
  for (int mount : {m.dev, m.pts, m.shm, m.run, m.tmp}) {
    if (mount >= 0) continue;
    m.code = errno;
    m.call = "fsmount";
    return m;
  }
  close(base);
  bool filled = fill_dev(m.dev, &m);
  umask(022);
  if (filled) unshare_early(&m);
  return m;
}

void close_mounts(const GuestMounts& m) {
  for (int mount : {m.dev, m.pts, m.shm, m.run, m.tmp})
    if (mount >= 0) close(mount);
}

void set_up_mounts(const Spec& spec, const GuestMounts& m, int pipe_fd) {
  if (m.code) fail_child(pipe_fd, m.code, m.call, m.detail);
  if (spec.root)
    enter_root(spec.root, pipe_fd);
  else
    share_host_root(pipe_fd);
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail_child(pipe_fd, errno, "open", "/");
  mount_proc(root, pipe_fd);
  attach(m.dev, root, "dev", pipe_fd);
  attach(m.pts, m.dev, "pts", pipe_fd);
  attach(m.shm, m.dev, "shm", pipe_fd);
  if (!spec.root) {
    // The host's sockets live in /run and /tmp, ours among them: none may be within a guest's reach.
    // A guest with its own root brings its own.
    attach(m.run, root, "run", pipe_fd);
    attach(m.tmp, root, "tmp", pipe_fd);
  }
  // What is open now is closed by exec, or by the reaper; one call for each would only cost time.
}

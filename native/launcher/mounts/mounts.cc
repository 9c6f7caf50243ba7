#include "mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "../../syscalls.h"
#include "guest_files.h"
#include "mount_list.h"

namespace {

constexpr unsigned data_only = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr unsigned devices_only = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
constexpr unsigned no_programs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

constexpr int most_rebuilds = 20;

Failed last_error(const char* call, const char* detail) { return {errno, call, detail}; }

int open_mount_list() { return openat(PROC_FD, "self/mountinfo", O_RDONLY | O_CLOEXEC); }

bool has_changed(int mount_list) {
  pollfd list{mount_list, POLLPRI, 0};
  return poll(&list, 1, 0) != 0;
}

// What the zygote has seen of the host's mounts. Launchers are copies of it.
struct Host {
  int watch = -1;
  char* cgroups = nullptr;  // paths, each with its NUL
  size_t size = 0;
  bool is_known = false;
} host;

void add_cgroup(const ListedMount& listed, void*) {
  if (!is_cgroup(listed.type) || !host.is_known) return;
  size_t more = strlen(listed.path) + 1;
  char* grown = static_cast<char*>(realloc(host.cgroups, host.size + more));
  host.is_known = grown != nullptr;
  if (!grown) return;
  memcpy(grown + host.size, listed.path, more);
  host.cgroups = grown;
  host.size += more;
}

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

int set_attributes(int dir, const char* path, unsigned flags, unsigned attributes, uint64_t propagation = 0) {
  mount_attr attr{};
  attr.attr_set = attributes;
  attr.propagation = propagation;
  return sys_mount_setattr(dir, path, flags, attr);
}

// A directory of a mount as a mount of its own. Returns its descriptor or -1.
int make_part(int base, const char* name, unsigned attributes) {
  int part = sys_open_tree(base, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (part < 0) return -1;
  if (set_attributes(part, "", AT_EMPTY_PATH, attributes) == 0) return part;
  int saved = errno;
  close(part);
  errno = saved;
  return -1;
}

Failed fill_dev(int dev) {
  for (const auto& d : guest_devices)
    if (mknodat(dev, d.name, S_IFCHR | 0666, makedev(d.major, d.minor)) < 0) return last_error("mknodat", d.name);
  for (const auto& l : guest_links)
    if (symlinkat(l.to, dev, l.name) < 0) return last_error("symlinkat", l.name);
  if (mkdirat(dev, "shm", 01777) < 0 || mkdirat(dev, "pts", 0755) < 0) return last_error("mkdirat", "dev");
  return {};
}

// On a directory below `root`, made when it is missing. The guest's image or a guest that shares the root may have put
// a symbolic link there: none is followed, so nothing lands elsewhere or stays uncovered (openat2(2)).
Failed attach(int mount, int root, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;
  int target = sys_openat2(root, name, how);
  if (target < 0 && errno == ENOENT && mkdirat(root, name, 0755) == 0) target = sys_openat2(root, name, how);
  if (target < 0) return last_error("openat2", name);
  Failed failed;
  if (sys_move_mount(mount, target) < 0) failed = last_error("move_mount", name);
  close(target);
  return failed;
}

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
  if (target < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? Failed{} : last_error("openat2", path);
  struct stat info;
  if (fstat(target, &info) < 0) return last_error("fstat", path);
  if (was_cgroup) *was_cgroup = is_in_cgroup_tree(target);
  bool is_directory = S_ISDIR(info.st_mode);
  int mount = is_directory ? m->empty : sys_open_tree(m->dev, "null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (mount < 0) return last_error("open_tree", path);
  if (sys_move_mount(mount, target) < 0) return last_error("move_mount", path);
  // A mount can be attached once. From then on it can be cloned, before Linux 6.15 from then on only.
  if (is_directory) m->empty = sys_open_tree(mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (m->empty < 0) return last_error("open_tree", path);
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

// Hides the host's part of what is mounted now below the root. `is_host`: that is the host's own, as the zygote saw it.
Failed cover_host(int root, GuestMounts* m, bool is_host = false) {
  struct statfs sys;
  const bool has_sysfs = statfs("/sys", &sys) == 0 && sys.f_type == SYSFS_MAGIC;
  if (has_sysfs)
    for (const char* path : covered_in_sys)
      if (Failed failed = cover(root, path, m); failed.code) return failed;
  // A directory above a mount may be renamed, which nobody is told of.
  bool is_current = is_host && host.is_known;
  for (const char* path = host.cgroups; is_current && path < host.cgroups + host.size; path += strlen(path) + 1) {
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

// Name below /proc of what over_proc has at this place.
const char* over_proc_name(size_t i) {
  constexpr size_t read_only = std::size(read_only_in_proc);
  return i < read_only ? read_only_in_proc[i].path : covered_in_proc[i - read_only] + sizeof "/proc";
}

// Switches of the host are the same in every procfs, so those of the host's own will do.
Failed make_over_proc(int proc, int base, GuestMounts* m) {
  for (size_t i = 0; i < over_proc_count; i++) {
    const char* name = over_proc_name(i);
    m->over_proc[i] = -1;
    struct stat info;
    if (fstatat(proc, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT || (i < std::size(read_only_in_proc) && read_only_in_proc[i].required))
        return last_error("fstatat", name);
      continue;
    }
    if (i < std::size(read_only_in_proc))
      m->over_proc[i] = make_part(proc, name, MOUNT_ATTR_RDONLY | no_programs);
    else if (S_ISDIR(info.st_mode))
      m->over_proc[i] = make_part(base, "empty", MOUNT_ATTR_RDONLY | no_programs);
    else
      m->over_proc[i] = make_part(base, "dev/null", devices_only);
    if (m->over_proc[i] < 0) return last_error("open_tree", name);
  }
  return {};
}

// File systems of the guest's own. One tmpfs for all of them: making and ending one is what costs time. A guest sees
// no way from one to another.
Failed mount_own(int root, GuestMounts* m) {
  int pts =
      make_mount("devpts", devices_only, {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}, {"max", most_ptys}});
  int base = make_mount("tmpfs", 0, {{"mode", "700"}});
  if (pts < 0 || base < 0) return last_error("fsmount", "tmpfs");
  int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return last_error("open", "/proc");
  // Before Linux 6.15 parts can be made only of what is attached somewhere. For a moment it is.
  if (Failed failed = attach(base, root, "proc"); failed.code) return failed;
  int shm = -1, run = -1, tmp = -1;
  struct {
    int* mount;
    const char* name;
    mode_t mode;
    unsigned attributes;
  } parts[] = {{&m->dev, "dev", 0755, devices_only},
               {&shm, "shm", 01777, data_only},
               {&run, "run", 0755, data_only},
               {&tmp, "tmp", 01777, data_only},
               {&m->empty, "empty", 0555, MOUNT_ATTR_RDONLY | no_programs}};
  for (const auto& part : parts) {
    if (mkdirat(base, part.name, part.mode) < 0) return last_error("mkdirat", part.name);
    *part.mount = make_part(base, part.name, part.attributes);
    if (*part.mount < 0) return last_error("open_tree", part.name);
  }
  if (Failed failed = fill_dev(m->dev); failed.code) return failed;
  if (Failed failed = make_over_proc(proc, base, m); failed.code) return failed;
  if (sys_umount_detach("/proc") < 0) return last_error("umount2", "/proc");
  close(proc);
  close(base);

  struct {
    int mount, root;
    const char* name;
    // The host's sockets live in /run and /tmp, ours among them: none may be within a guest's reach.
  } places[] = {
      {m->dev, root, "dev"}, {pts, m->dev, "pts"}, {shm, m->dev, "shm"}, {run, root, "run"}, {tmp, root, "tmp"}};
  for (const auto& place : places)
    if (Failed failed = attach(place.mount, place.root, place.name); failed.code) return failed;
  for (int mount : {pts, shm, run, tmp}) close(mount);
  return {};
}

// All of a guest that sees the host's root, in a mount namespace of its own. `host_list`: the zygote's, or -1.
Failed build(GuestMounts* m, int host_list) {
  m->host_list = host_list < 0 ? open_mount_list() : host_list;
  if (m->host_list < 0) return last_error("open", "/proc/self/mountinfo");
  if (unshare(CLONE_NEWNS) < 0) return last_error("unshare", "CLONE_NEWNS");
  // Still following the host, so that what is unmounted there does not stay busy because of an idle launcher.
  if (set_attributes(AT_FDCWD, "/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, MS_SLAVE) < 0)
    return last_error("mount_setattr", "/");
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return last_error("open", "/");
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
  if (setns(m->host, CLONE_NEWNS) < 0) return last_error("setns", "CLONE_NEWNS");
  return build(m, -1);
}

// The directory and all that is mounted below it, as the host sees it. Whoever can write above it could swap a
// component for a symbolic link: none is followed.
Failed clone_root(const char* path, const GuestMounts& m, int* tree) {
  int own = openat(PROC_FD, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (own < 0) return last_error("open", "/proc/self/ns/mnt");
  if (setns(m.host, CLONE_NEWNS) < 0) return last_error("setns", "CLONE_NEWNS");
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int dir = sys_openat2(AT_FDCWD, path, how);
  if (dir < 0) return last_error("openat2", path);
  *tree = sys_open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (*tree < 0) return last_error("open_tree", path);
  if (setns(own, CLONE_NEWNS) < 0) return last_error("setns", "CLONE_NEWNS");
  close(dir);
  close(own);
  return {};
}

Failed enter_root(const char* path, GuestMounts* m) {
  int tree = -1;
  if (Failed failed = clone_root(path, *m, &tree); failed.code) return failed;
  // A device node in an image is none of the guest's business, as on the host's root.
  if (set_attributes(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, MOUNT_ATTR_NODEV, MS_PRIVATE) < 0)
    return last_error("mount_setattr", path);
  int old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old_root < 0) return last_error("open", "/");
  if (Failed failed = attach(tree, old_root, "tmp"); failed.code) return failed;
  if (Failed failed = attach(m->dev, tree, "dev"); failed.code) return failed;
  if (fchdir(tree) < 0) return last_error("fchdir", path);
  // pivot_root(".", ".") stacks the old root on the new one, so no directory for it is needed (pivot_root(2), NOTES).
  if (sys_pivot_root(".", ".") < 0) return last_error("pivot_root", path);
  if (sys_umount_detach(".") < 0) return last_error("umount2", path);
  if (chdir("/") < 0) return last_error("chdir", "/");
  close(old_root);
  Failed failed = cover_host(tree, m);
  close(tree);
  return failed;
}

}  // namespace

int look_at_host_mounts() {
  int list = open_mount_list();  // before the look, so that what changes meanwhile is told of
  bool is_first = host.watch < 0;
  if (is_first) host.watch = open_mount_list();
  if (is_first || has_changed(host.watch)) {
    host.size = 0;
    host.is_known = host.watch >= 0;
    if (for_each_mount(PROC_FD, add_cgroup, nullptr) != 0) host.is_known = false;
  }
  return list;
}

void close_host_watch() {
  if (host.watch >= 0) close(host.watch);
}

GuestMounts prepare_mounts(int host_list) {
  GuestMounts m;
  for (int& mount : m.over_proc) mount = -1;
  m.host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (m.host < 0)
    m.failed = last_error("open", "/proc/self/ns/mnt");
  else if (unshare(CLONE_NEWIPC | CLONE_NEWUTS) < 0)
    m.failed = last_error("unshare", "CLONE_NEWIPC");
  else
    m.failed = build(&m, host_list);
  return m;
}

// The files of lxcfs that the guest shall see. One that is dead, or not there any more, keeps no guest from starting.
static void open_lxcfs(const Spec& spec, GuestMounts* m) {
  for (size_t i = 0; i < spec.lxcfs.count; i++) {
    char path[64];
    snprintf(path, sizeof path, "/var/lib/lxcfs/proc/%s", spec.lxcfs.items[i]);
    int file = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    if (file >= 0 && set_attributes(file, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY | no_programs) < 0) {
      close(file);
      file = -1;
    }
    m->lxcfs[i] = file;
  }
}

Failed finish_mounts(const Spec& spec, GuestMounts* m) {
  if (m->failed.code) return m->failed;
  // First nothing of the host comes any more, then what has come is looked at: a mount in between would be writable.
  for (int tries = 0;; tries++) {
    if (set_attributes(AT_FDCWD, "/", AT_RECURSIVE, 0, MS_PRIVATE) < 0) return last_error("mount_setattr", "/");
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

Failed mount_proc(const Spec& spec, const GuestMounts& m) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return last_error("open", "/");
  int proc = make_mount("proc", no_programs, {});
  if (proc < 0) return last_error("fsmount", "proc");
  if (Failed failed = attach(proc, root, "proc"); failed.code) return failed;
  for (size_t i = 0; i < over_proc_count; i++)
    if (m.over_proc[i] >= 0 && sys_move_mount_to(m.over_proc[i], proc, over_proc_name(i)) < 0)
      return last_error("move_mount", over_proc_name(i));
  for (size_t i = 0; i < spec.lxcfs.count; i++)
    if (m.lxcfs[i] >= 0 && sys_move_mount_to(m.lxcfs[i], proc, spec.lxcfs.items[i]) < 0)
      return last_error("move_mount", spec.lxcfs.items[i]);
  close(proc);
  close(root);
  return {};
}

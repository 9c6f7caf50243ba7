#include "proc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>

#include "../../syscalls.h"
#include "guest_files.h"
#include "mount_calls.h"

// Name below /proc of what over_proc has at this place.
static const char* over_proc_name(size_t i) {
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
        return {errno, "fstatat", name};
      continue;
    }
    if (i < std::size(read_only_in_proc))
      m->over_proc[i] = make_part(proc, name, MOUNT_ATTR_RDONLY | no_programs);
    else if (S_ISDIR(info.st_mode))
      m->over_proc[i] = make_part(base, "empty", MOUNT_ATTR_RDONLY | no_programs);
    else
      m->over_proc[i] = make_part(base, "dev/null", devices_only);
    if (m->over_proc[i] < 0) return {errno, "open_tree", name};
  }
  return {};
}

void open_lxcfs(const Spec& spec, GuestMounts* m) {
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

Failed mount_proc(const Spec& spec, const GuestMounts& m) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return {errno, "open", "/"};
  int proc = make_mount("proc", no_programs, {});
  if (proc < 0) return {errno, "fsmount", "proc"};
  if (Failed failed = attach(proc, root, "proc"); failed.code) return failed;
  for (size_t i = 0; i < over_proc_count; i++)
    if (m.over_proc[i] >= 0 && sys_move_mount_to(m.over_proc[i], proc, over_proc_name(i)) < 0)
      return {errno, "move_mount", over_proc_name(i)};
  for (size_t i = 0; i < spec.lxcfs.count; i++)
    if (m.lxcfs[i] >= 0 && sys_move_mount_to(m.lxcfs[i], proc, spec.lxcfs.items[i]) < 0)
      return {errno, "move_mount", spec.lxcfs.items[i]};
  close(proc);
  close(root);
  return {};
}

#include "own_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cerrno>

#include "../../syscalls.h"
#include "guest_files.h"
#include "mount_calls.h"
#include "proc.h"

static Failed fill_dev(int dev) {
  for (const auto& d : guest_devices)
    if (mknodat(dev, d.name, S_IFCHR | 0666, makedev(d.major, d.minor)) < 0) return {errno, "mknodat", d.name};
  for (const auto& l : guest_links)
    if (symlinkat(l.to, dev, l.name) < 0) return {errno, "symlinkat", l.name};
  if (mkdirat(dev, "shm", 01777) < 0 || mkdirat(dev, "pts", 0755) < 0) return {errno, "mkdirat", "dev"};
  return {};
}

Failed mount_own(int root, GuestMounts* m) {
  int pts =
      make_mount("devpts", devices_only, {{"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}, {"max", most_ptys}});
  int base = make_mount("tmpfs", 0, {{"mode", "700"}});
  if (pts < 0 || base < 0) return {errno, "fsmount", "tmpfs"};
  int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return {errno, "open", "/proc"};
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
    if (mkdirat(base, part.name, part.mode) < 0) return {errno, "mkdirat", part.name};
    *part.mount = make_part(base, part.name, part.attributes);
    if (*part.mount < 0) return {errno, "open_tree", part.name};
  }
  if (Failed failed = fill_dev(m->dev); failed.code) return failed;
  if (Failed failed = make_over_proc(proc, base, m); failed.code) return failed;
  if (sys_umount_detach("/proc") < 0) return {errno, "umount2", "/proc"};
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

#include "mount_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

#include "../../syscalls.h"

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

int set_attributes(int dir, const char* path, unsigned flags, unsigned attributes, uint64_t propagation) {
  mount_attr attr{};
  attr.attr_set = attributes;
  attr.propagation = propagation;
  return sys_mount_setattr(dir, path, flags, attr);
}

int make_part(int base, const char* name, unsigned attributes) {
  int part = sys_open_tree(base, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (part < 0) return -1;
  if (set_attributes(part, "", AT_EMPTY_PATH, attributes) == 0) return part;
  int saved = errno;
  close(part);
  errno = saved;
  return -1;
}

Failed attach(int mount, int root, const char* name) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH;
  int target = sys_openat2(root, name, how);
  if (target < 0 && errno == ENOENT && mkdirat(root, name, 0755) == 0) target = sys_openat2(root, name, how);
  if (target < 0) return {errno, "openat2", name};
  Failed failed;
  if (sys_move_mount(mount, target) < 0) failed = {errno, "move_mount", name};
  close(target);
  return failed;
}

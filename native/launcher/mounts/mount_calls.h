// The newer calls about mounts (Linux 5.2 to 5.12), in the steps that a guest's mounts take.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "../../syscalls.h"
#include "../protocol/failure.h"

constexpr unsigned data_only = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr unsigned devices_only = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
constexpr unsigned no_programs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct Option {
  const char* key;
  const char* value;
};

// fsopen(2), fsconfig(2), fsmount(2): a mount that is attached nowhere yet. Returns its descriptor or -1.
int make_mount(const char* type, unsigned attributes, std::initializer_list<Option> options);

// mount_setattr(2). Returns 0 or -1 with errno.
int set_attributes(int dir, const char* path, unsigned flags, unsigned attributes, uint64_t propagation = 0);

// A directory of a mount as a mount of its own. Returns its descriptor or -1.
int make_part(int base, const char* name, unsigned attributes);

// On a directory below `root`, made when it is missing. The guest's image or a guest that shares the root may have put
// a symbolic link there: none is followed, so nothing lands elsewhere or stays uncovered (openat2(2)).
Failed attach(int mount, int root, const char* name);

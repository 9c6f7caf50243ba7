// Who a process is started as, by the guest's own /etc/passwd and /etc/group. No NSS: that is the host's.
#pragma once
#include <sys/types.h>
#include <cstddef>

#include "../protocol/failure.h"
#include "../protocol/spec.h"

// What an account adds to a spec. On the stack of who asks, for a child may share the launcher's memory.
struct AccountRoom {
  static constexpr size_t most_groups = 1024;
  static constexpr size_t most_env = 1100;  // what an order may have, and what is added
  static constexpr size_t longest_text = 1024;
  gid_t groups[most_groups];
  char* env[most_env];
  char name[longest_text];  // USER=, and so on
  char logname[longest_text];
  char home[longest_text];
  char shell[longest_text];
  char detail[100];
};

// In the guest's mount namespace, before powers are dropped. Fills in uid, gid, groups and HOME, USER, LOGNAME and
// SHELL, where env has none. Does nothing where the spec asks for no account. ENOENT: there is no user or group of this
// name.
Failed find_account(Spec* spec, AccountRoom* room);

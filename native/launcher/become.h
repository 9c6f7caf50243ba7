// The last steps of a guest process: lose power, take the guest's command.
#pragma once
#include "spec.h"

// A step that failed; code 0 means that it did not.
struct Failed {
  int code = 0;
  const char* call = "";
  const char* detail = "";
};

// Supplementary groups, gid and uid, real, effective and saved.
Failed take_user(const Spec& spec);
// Cuts the bounding set to bcaps, takes the user's ids, cuts permitted, effective, inheritable and ambient: in the
// order that works.
Failed drop_privileges(const Spec& spec);

// True when the bounding set is exactly what bcaps allow on this kernel.
bool holds_exactly(uint64_t bcaps);

// Directory, descriptors, exec. Returns only when one of them failed.
Failed start_command(const Spec& spec);

// Empties the mask and gives SIGPIPE its default back, all that a launcher changes; handlers end with exec.
void restore_signals();

// What a daemon has or was given is not for its guests: descriptor limit, OOM score, session keyring.
void shed_inheritance();

// The last steps of a guest process: lose power, take the guest's command.
#pragma once
#include "spec.h"

// A step that failed; code 0 means that it did not.
struct Failed {
  int code = 0;
  const char* call = "";
  const char* detail = "";
};

// Cuts the bounding set to bcaps. Needs SETPCAP, so it comes before the other sets are cut.
Failed cut_bounding_set(uint64_t bcaps);
// Supplementary groups, gid and uid, real, effective and saved.
Failed take_user(const Spec& spec);
// Cuts permitted, effective, inheritable and ambient to bcaps.
Failed cut_capabilities(uint64_t bcaps);
// All three, in the order that works.
Failed drop_privileges(const Spec& spec);

// True when the bounding set is exactly what bcaps allow on this kernel.
bool holds_exactly(uint64_t bcaps);

// Directory, descriptors, exec. Returns only when one of them failed.
Failed start_command(const Spec& spec);

// Default dispositions and an empty mask: what a daemon ignores or blocks must not leak into guests.
void reset_signals();

// The user and the capabilities of a process.
#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"

// Supplementary groups, gid and uid, real, effective and saved.
Failed take_user(const Spec& spec);
// What no program that is executed from here on can get back. A launcher executes none and keeps its own powers, so it
// does this while it gets ready. `left`: what the set has at most.
Failed cut_bounding_set(uint64_t bcaps, uint64_t left = ~uint64_t{0});
// Cuts the bounding set to bcaps, takes the user's ids, cuts permitted, effective, inheritable and ambient: in the
// order that works.
Failed drop_privileges(const Spec& spec);

// take_user that can be taken back for a while: the powers go out of force with uid 0, and raise_powers puts them in
// force again, for the calls that only the host may make. drop_powers takes them for good, from a user other than root:
// what root may do is for the kernel to limit (Linux-VServer).
Failed take_user_for_now(const Spec& spec);
Failed raise_powers();
Failed drop_powers(const Spec& spec);

// True when the bounding set is exactly what bcaps allow on this kernel.
bool holds_exactly(uint64_t bcaps);

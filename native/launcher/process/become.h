// The last steps of a guest process: lose power, take the guest's command.
#pragma once
#include "../protocol/spec.h"

// A step that failed; code 0 means that it did not.
struct Failed {
  int code = 0;
  const char* call = "";
  const char* detail = "";
};

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

// What can be told of start_command's failure without doing it: whether directory and program are there.
Failed check_command(const Spec& spec);
// Directory, descriptors, exec. Returns only when one of them failed.
Failed start_command(const Spec& spec);

// Empties the mask and gives SIGPIPE its default back, all that a launcher changes; handlers end with exec.
void restore_signals();

// Closes every descriptor from `first` on, or has exec close it. Returns 0 or an errno.
int close_from(int first, bool at_exec);

// Closes what a launcher has of the daemon and the host's: CONTROL_FD to LAST_FD.
void close_host_descriptors();

// What a daemon has or was given is not for its guests: priority and the limit of it, of descriptors, OOM score.
void shed_inheritance();
// A session keyring of its own for each context: the daemon's may hold keys. Some kernels have none.
void take_own_keyring();

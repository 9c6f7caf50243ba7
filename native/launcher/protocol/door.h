// How a daemon reaches a shim that an earlier one started: it takes a copy of OUTER_DOOR_FD (pidfd_getfd(2), which only
// who may trace the shim can) and sends its own socket in by it. No name, no file, nothing that a guest could connect
// to.
#pragma once

// While getting ready. Returns 0 or an errno.
int make_door();

// Leaves "PID START_TIME PROTOCOL" of this shim in an attribute of the cgroup, where a later daemon finds it.
void announce_door();

// DOOR_FD is readable: a daemon has come. True when CONTROL_FD is its socket now. Whoever held the other end of the
// former one, an earlier daemon or what it left behind, is not heard any more.
bool admit_daemon();

// The guest's /proc, and what lies over files of it.
#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"
#include "guest_mounts.h"

// Fills in over_proc. `proc` is a procfs, `base` a tmpfs that is attached and has "dev" and "empty" in it.
Failed make_over_proc(int proc, int base, GuestMounts* m);

// The files of lxcfs that the guest shall see. One that is dead, or not there any more, keeps no guest from starting.
void open_lxcfs(const Spec& spec, GuestMounts* m);

// In PID 1 of the new PID namespace, which is the one that a proc mount shows.
Failed mount_proc(const Spec& spec, const GuestMounts& mounts);

// The process that stays on the host: parent of a context's PID 1, keeper of its exit status.
#pragma once
#include "../mounts/guest_mounts.h"
#include "../process/pipes.h"
#include "../process/spawn.h"
#include "../protocol/spec.h"

// Modes init and reaper. Does not return before PID 1 has ended.
int run_shim(const Spec& spec, GuestMounts* mounts, Pipes pipes, const ChildStack& stack);

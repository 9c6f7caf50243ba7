// PID 1 of a context, up to the guest's init or the reaper.
#pragma once
#include "../mounts/guest_mounts.h"
#include "../process/pipes.h"
#include "../protocol/spec.h"

// What it is told: copies of what the shim goes on to change.
struct Pid1 {
  const Spec& spec;
  const GuestMounts& mounts;
  Pipes pipes;
  int pipe_fd;
  int orders;
};

// Runs as PID 1 of the new namespace, alone in it until it is ready. `argument` is a Pid1.
[[noreturn]] void run_pid1(void* argument);

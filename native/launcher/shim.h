// The process that stays on the host: parent of a context's PID 1, keeper of its exit status.
#pragma once
#include "spec.h"

// Modes init and reaper. Does not return before PID 1 has ended.
int run_shim(const Spec& spec);
// Keeps a wait(2) status in the cgroup's attributes, where a later daemon finds it.
void keep_exit_status(int status);
// Mode probe: can this kernel and this user make the namespaces a context needs?
int run_probe();

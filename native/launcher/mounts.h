// The mounts a guest sees. Runs in PID 1 before any guest code, in a fresh mount namespace.
#pragma once
#include "spec.h"

// With spec.root: that directory becomes "/". Without: the host's root, read-only and without device nodes.
// Either way /proc and /dev are the guest's own. On failure fails the child through pipe_fd.
void set_up_mounts(const Spec& spec, int pipe_fd);

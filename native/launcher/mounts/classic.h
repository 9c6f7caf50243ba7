// The mounts of a Linux-VServer guest, by mount(2) alone: kernels with vserver(2) have none of the newer calls.
#pragma once
#include "../protocol/spec.h"

// Runs in a fresh mount namespace, before any guest code. With spec.root that directory becomes "/"; without, the
// host's root, read-only and without device nodes. Either way /dev is the guest's own. On failure fails the child.
void set_up_classic_mounts(const Spec& spec, int pipe_fd);

// The file systems of a guest's own: /dev, /run and /tmp.
#pragma once
#include "../protocol/failure.h"
#include "guest_mounts.h"

// One tmpfs for all of them: making and ending one is what costs time. A guest sees no way from one to another.
// Covers the host's below `root`, and makes what covers more of it: `empty`, over_proc.
Failed mount_own(int root, GuestMounts* m);

// The mounts a guest sees.
#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"
#include "guest_mounts.h"

// Gives the caller the mount, IPC and UTS namespaces that its PID 1 will have. Ending them is slow: it is done when the
// shim ends, after it has told of the end of the guest.
GuestMounts prepare_mounts(int host_list);

// The order is here. Makes all anew when the host's mounts have changed meanwhile; with spec.root that directory
// becomes "/" of the caller and its namespace. No mount of the host comes or goes in it any more. Closes what leads to
// the host.
Failed finish_mounts(const Spec& spec, GuestMounts* mounts);

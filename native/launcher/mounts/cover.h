// What a guest is not to see of the host's mounts.
#pragma once
#include "../protocol/failure.h"
#include "guest_mounts.h"

// Hides the host's part of what is mounted now below the root. `is_host`: that is the host's own, as the zygote saw it.
Failed cover_host(int root, GuestMounts* m, bool is_host = false);

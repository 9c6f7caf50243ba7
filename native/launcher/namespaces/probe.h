// Mode probe: can this kernel and this user make the namespaces a context needs?
#pragma once
#include "../mounts/guest_mounts.h"

int run_probe(const GuestMounts& mounts);

// The resource limits that a process is started with.
#pragma once
#include "../protocol/spec.h"
#include "become.h"

// RLIMIT_* by its name in lower case, or -1.
int resource_of(const char* name);

// EINVAL: more than the hard limit that the process has anyway, which root of the host could raise.
Failed limit_resources(const Spec& spec);

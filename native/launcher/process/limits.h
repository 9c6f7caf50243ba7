// The resource limits that a process is started with.
#pragma once
#include "../protocol/failure.h"
#include "../protocol/spec.h"

// EINVAL: more than the hard limit that the process has anyway, which root of the host could raise.
Failed limit_resources(const Spec& spec);

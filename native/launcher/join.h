// A later process of a running context.
#pragma once
#include "spec.h"

// Mode exec. Does not return before the process has ended.
int run_join(const Spec& spec);

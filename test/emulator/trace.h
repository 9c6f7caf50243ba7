#pragma once

#include <string>

#include "call.h"

// Returns an error message, or "".
std::string start_trace();
void trace_call(const Call& call, long result);
// The number of "EPERM", 0 when there is no such error.
int errno_of(const std::string& name);

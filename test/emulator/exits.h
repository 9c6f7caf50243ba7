// Exit codes and fork counts, from the kernel's process events: cgroups tell only that somebody has gone.
#pragma once

#include <string>

#include "contexts.h"

std::string start_exits();  // an error message, or ""
int exits_fd();
void read_exits();
// `context` null: it has left.
void track(pid_t tid, const ContextPtr& context);
void forget_tracked(const ContextPtr& context);

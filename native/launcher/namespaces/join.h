// A later process of a running context.
#pragma once
#include <sys/types.h>

#include "../process/become.h"
#include "../process/pipes.h"
#include "../process/spawn.h"
#include "../protocol/spec.h"

// What a launcher has ready before it knows which process to start.
struct Join {
  Failed failed;
  int status_pipe[2] = {-1, -1};
  pid_t* made = nullptr;  // shared with the joining child only
};
// @param before what was prepared for the order before this one
Join prepare_join(const Join& before);

// Mode exec. Does not return before the process has ended. Returns the launcher's exit code; with `*takes_next` it has
// told the daemon that it takes another order, and holds nothing of this one any more.
int run_join(const Spec& spec, const Join& join, Pipes pipes, const ChildStack& stack, bool* takes_next);

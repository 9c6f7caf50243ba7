// Feeds a process its input and collects its output, within limits.
#pragma once
#include <sys/types.h>

#include "spec.h"

struct CapturePipes {
  int in[2] = {-1, -1};
  int out[2] = {-1, -1};
  int err[2] = {-1, -1};
};

// Returns 0 or an errno.
int make_capture_pipes(CapturePipes* pipes);
// In the child: the pipes become descriptors 0, 1 and 2.
void use_as_stdio(const CapturePipes& pipes);
// In the parent: close the child's ends.
void close_child_ends(CapturePipes* pipes);

struct Outcome {
  int status = 0;  // wait(2)
  bool timed_out = false;
  bool truncated = false;
};
// Waits for the child `pid`, killing its process group at the deadline (now_ms(); 0: none); sends what it wrote as
// frames. Without capture the pipes are all -1.
Outcome attend(pid_t pid, int pidfd, const Spec& spec, long deadline_ms, CapturePipes* pipes);

// The small messages that a child leaves for its parent until its exec.
#pragma once
#include <cstdint>

#include "../protocol/failure.h"

// What a child leaves in a close-on-exec pipe. It may run beside guest code that can trace it and take its end of the
// pipe, so the reader checks every field, bounds every string, and never waits without a limit.
struct ChildMessage {
  int32_t ready;  // exec comes next: end of file after this means that it succeeded
  Failure failure;
};

// A pipe for ChildMessages, neither end of which blocks. Returns 0 or an errno.
int make_status_pipe(int ends[2]);
void tell_ready(int pipe_fd);
[[noreturn]] void fail_child(int pipe_fd, int code, const char* call, const char* detail);
[[noreturn]] void fail_child(int pipe_fd, const Failed& failed);

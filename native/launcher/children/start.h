// The start of a child, up to its exec.
#pragma once
#include "../protocol/failure.h"
#include "child.h"

// How long a child may take until its exec.
constexpr long exec_limit_ms = 30000;

// `pipe_fd` is the parent's end of its status pipe (status_pipe.h).
// Waits, until the deadline at most, for the exec or the end of a child that shares the caller's memory (spawn.h).
void await_end_of_sharing(int pipe_fd, long deadline_ms);

// Waits until the child has exec'ed. Otherwise kills it, fills in `failure` and returns false.
bool await_exec(int pipe_fd, const Child& child, long deadline_ms, Failure* failure);

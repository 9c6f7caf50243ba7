// What the launcher tells: frames to the daemon, and the small messages a child leaves for its parent.
#pragma once
#include <sys/types.h>
#include <cstddef>
#include <cstdint>

#include "../children/child.h"

// Frames on CONTROL_FD: {u32 type, u32 size} in host order, then `size` bytes.
enum class Frame : uint32_t {
  started = 'S',   // "PID": exec has succeeded; host pid
  error = 'E',     // "ERRNO CALL DETAIL"
  exited = 'X',    // "WAIT_STATUS TIMED_OUT TRUNCATED OOM_KILLED", the last as in oom.h; status -1: a reaper's own end
  admitted = 'A',  // "PID init" or "PID reaper": to a daemon that came by the door
  size = 'B',      // "BYTES" of captured output that follow, when they are more than unasked_output
  out = 'O',       // captured stdout
  err = 'R',       // captured stderr
  next = 'N',      // "": the launcher takes another order after the exit that follows
};

struct FrameView {
  Frame type;
  const void* data;
  size_t size;
};
constexpr size_t frames_max = 6;
// The daemon may have no room for more than this at the moment, and leave it to the launcher for a while.
constexpr size_t unasked_output = 64 * 1024;

// Sending never fails the job: a daemon that is gone reads the cgroup's attributes when it is back. Frames that go
// together, frames_max at most, wake the daemon once.
void send_frames(const FrameView* frames, size_t count);
void send_text(Frame type, const char* format, ...) __attribute__((format(printf, 2, 3)));

// All is told. The daemon sees the end of its socket, and the context is nobody's to keep.
void let_go_of_daemon();
// The context alone. Its descriptors' numbers stay taken.
void let_go_of_context();

struct Failure {
  int32_t code;  // errno; 0 is no failure
  char call[24];
  char detail[100];
};
Failure make_failure(int code, const char* call, const char* detail);
void send_failure(const Failure& failure);

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

// Milliseconds of CLOCK_MONOTONIC.
long now_ms();
// How long a child may take until its exec.
constexpr long exec_limit_ms = 30000;

// Waits, until the deadline at most, for the exec or the end of a child that shares the caller's memory (spawn.h).
void await_end_of_sharing(int pipe_fd, long deadline_ms);

// Waits until the child has exec'ed. Otherwise kills it, fills in `failure` and returns false.
bool await_exec(int pipe_fd, const Child& child, long deadline_ms, Failure* failure);

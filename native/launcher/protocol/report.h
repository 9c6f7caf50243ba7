// What a launcher tells the daemon.
#pragma once
#include <cstddef>
#include <cstdint>

#include "failure.h"

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

void send_failure(const Failure& failure);
// The end of an order that has failed. Returns the launcher's exit code.
int give_up(const Failed& failed);

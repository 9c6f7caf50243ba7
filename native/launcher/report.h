// What the launcher tells: frames to the daemon, and the small message a child leaves for its parent.
#pragma once
#include <sys/types.h>
#include <cstddef>
#include <cstdint>

// Frames on CONTROL_FD: {u32 type, u32 size} in host order, then `size` bytes.
enum class Frame : uint32_t {
  started = 'S',  // "PID": exec has succeeded; host pid
  error = 'E',    // "ERRNO CALL DETAIL"
  exited = 'X',   // "WAIT_STATUS TIMED_OUT TRUNCATED"
  out = 'O',      // captured stdout
  err = 'R',      // captured stderr
};

// Sending never fails the job: a daemon that is gone reads the cgroup's attributes when it is back.
void send_frame(Frame type, const void* data, size_t size);
void send_text(Frame type, const char* format, ...) __attribute__((format(printf, 2, 3)));

// A child's failure, written to a close-on-exec pipe: end of file without one means that execve(2) succeeded.
// The child may run beside guest code that can ptrace it, so the reader trusts no field and bounds every string.
struct Failure {
  int32_t code;
  char call[24];
  char detail[100];
};
struct ChildMessage {
  int32_t pid;      // mode exec: the process made by the joining child; 0 otherwise
  Failure failure;  // code 0: none
};

ChildMessage failure_message(int code, const char* call, const char* detail);
[[noreturn]] void fail_child(int pipe_fd, int code, const char* call, const char* detail);
void send_failure(const Failure& failure);
// True when a whole message was read; false at end of file.
bool read_child_message(int fd, ChildMessage* message);

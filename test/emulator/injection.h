// A caller that is stopped in its call. System calls can be made in its name, and its call ended with any result.
// While it is stopped no signal interrupts it, so what is done for it is done once.
#pragma once

#include <sys/user.h>

#include "call.h"

class Injection {
 public:
  // Stops the caller. Null when it is gone, or was interrupted by a signal and will come again (or not).
  static std::unique_ptr<Injection> begin(const Call& call);
  ~Injection();

  // What the call returned, or -errno; -ESRCH as well when the caller has died.
  long run(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0);
  // Some bytes (at most `scratch_size`) in the caller's memory; valid until the next put().
  uint64_t put(const void* bytes, size_t size);
  void finish(long result);

  static constexpr size_t scratch_size = 64;

 private:
  Injection() = default;
  bool resume_until_call_stop();
  void detach();

  pid_t tid_ = 0;
  bool stopped_ = false;
  user_regs_struct regs_{};
  uint64_t signals_ = 0;
  bool used_scratch_ = false;
  unsigned char scratch_[scratch_size] = {};
};

// COMMAND is a child of this program, and its end may be seen while it is stopped. 0 until then.
extern pid_t command_pid;
extern int command_status;
extern bool command_ended;

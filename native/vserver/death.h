// Waiting for a context's death without stopping anything else: one thread a context, blocked in wait_exit. A thread
// that the kernel lets run in there instead (commands.h) is called back and begins anew.
#pragma once
#include <pthread.h>
#include <functional>
#include <memory>
#include <mutex>

#include "commands.h"

namespace vserver {

class DeathWait {
 public:
  // Called once, in the waiting thread; code ECANCELED after cancel().
  using Done = std::function<void(const Result&, const WaitExit&)>;

  // EAGAIN: no more threads.
  static Result start(uint32_t xid, Done done, std::shared_ptr<DeathWait>* wait);

  // The thread is in the call, asleep or running in it, so that a death from now on does not escape it; or it is over
  // already.
  bool is_waiting();
  // Asks it to end, by a signal. One that comes just before the call is lost, so ask until it is done.
  void cancel();

 private:
  static void* run(void* self);
  void wait(WaitExit* exit, Result* result);

  uint32_t xid_ = 0;
  Done done_;
  std::mutex mutex_;
  pthread_t thread_{};
  pid_t tid_ = 0;  // set when nothing but the call is left to do
  bool cancelled_ = false;
  bool over_ = false;
};

}  // namespace vserver

#include "death.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace vserver {

namespace {

// Its handler does nothing: it is there to make the call end with EINTR. Neither Node nor libuv uses it.
int wake_signal() { return SIGRTMIN + 5; }

void on_wake(int) {}

void catch_wakes() {
  struct sigaction action {};
  action.sa_handler = on_wake;  // without SA_RESTART
  sigaction(wake_signal(), &action, nullptr);
}

// The thread needs next to nothing; thread-local storage of everything loaded comes on top of it (pthread_create(3)).
constexpr size_t stack_size = 256 * 1024;

// 'S' for a thread that sleeps interruptibly (proc(5)); 0 when it cannot be told.
char state_of(pid_t tid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  FILE* file = fopen(path, "re");
  if (!file) return 0;
  size_t n = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[n] = '\0';
  const char* end = strrchr(line, ')');
  return end && end[1] == ' ' ? end[2] : '\0';
}

}  // namespace

Result DeathWait::start(uint32_t xid, Done done, std::shared_ptr<DeathWait>* wait) {
  static std::once_flag once;
  std::call_once(once, catch_wakes);
  auto made = std::make_shared<DeathWait>();
  made->xid_ = xid;
  made->done_ = std::move(done);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // Signals are for the daemon's other threads.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, wake_signal());
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto* shared = new std::shared_ptr<DeathWait>(made);
  int code = pthread_create(&made->thread_, &attributes, run, shared);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (code != 0) {
    delete shared;
    return failed("pthread_create", code);
  }
  *wait = std::move(made);
  return ok();
}

void* DeathWait::run(void* self) {
  std::unique_ptr<std::shared_ptr<DeathWait>> owner(static_cast<std::shared_ptr<DeathWait>*>(self));
  DeathWait& me = **owner;
  WaitExit exit{};
  Result result;
  me.wait(&exit, &result);
  me.done_(result, exit);
  return nullptr;
}

void DeathWait::wait(WaitExit* exit, Result* result) {
  for (;;) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      tid_ = static_cast<pid_t>(syscall(SYS_gettid));
      if (cancelled_) {
        *result = failed("wait_exit", ECANCELED);
        over_ = true;
        return;
      }
    }
    *result = wait_exit(xid_, exit);
    std::lock_guard<std::mutex> lock(mutex_);
    if (result->code == EINTR) continue;
    over_ = true;
    return;
  }
}

bool DeathWait::is_waiting() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (over_) return true;
  if (tid_ == 0) return false;
  char state = state_of(tid_);
  return state == 'S' || state == 0;
}

void DeathWait::cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  if (!over_) pthread_kill(thread_, wake_signal());  // it ends only after it has said so under this lock
}

}  // namespace vserver

#include "death.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

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

// reboot(2) in the context wakes whoever waits. Unless the context ends, the kernel then looks again and again without
// sleeping, until a signal comes (__wait_exit of kernel/vserver/signal.c). So the thread is sent one when it has run
// for so long, which what ends by that reboot(2) hardly takes. On its own clock no time passes while it sleeps.
constexpr long spin_limit_ns = 20'000'000;
// More than the thread takes until it is in the call.
constexpr long entering_limit_ns = spin_limit_ns / 2;

// Of the calling thread. POSIX clocks and timers: Linux 2.6.12.
class SpinClock {
 public:
  SpinClock() {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = wake_signal();
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    itimerspec again_and_again{{0, spin_limit_ns}, {0, spin_limit_ns}};
    // Without one (EAGAIN: RLIMIT_SIGPENDING) it waits all the same.
    is_there_ = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) == 0;
    if (is_there_) timer_settime(timer_, 0, &again_and_again, nullptr);
  }
  ~SpinClock() {
    if (is_there_) timer_delete(timer_);
  }
  SpinClock(const SpinClock&) = delete;
  SpinClock& operator=(const SpinClock&) = delete;

 private:
  timer_t timer_{};
  bool is_there_;
};

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
  {
    SpinClock clock;
    me.wait(&exit, &result);
  }
  me.done_(result, exit);
  return nullptr;
}

void DeathWait::wait(WaitExit* exit, Result* result) {
  for (bool was_there = false;; was_there = true) {
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
    // It has ended between two calls: what the kernel had of it at the end of the first is the last that there is.
    if (result->code == ESRCH && was_there) *result = ok();
    over_ = true;
    return;
  }
}

bool DeathWait::is_waiting() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (over_) return true;
  if (tid_ == 0) return false;
  char state = state_of(tid_);
  if (state == 'S' || state == 0) return true;
  clockid_t clock;
  timespec ran;
  return pthread_getcpuclockid(thread_, &clock) == 0 && clock_gettime(clock, &ran) == 0 &&
         (ran.tv_sec > 0 || ran.tv_nsec > entering_limit_ns);
}

void DeathWait::cancel() {
  std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  if (!over_) pthread_kill(thread_, wake_signal());  // it ends only after it has said so under this lock
}

}  // namespace vserver

#include "start.h"

#include <poll.h>
#include <unistd.h>
#include <cerrno>

#include "../../clock.h"
#include "../process/status_pipe.h"

void await_end_of_sharing(int pipe_fd, long deadline_ms) {
  // Nothing here fails, so nothing writes errno, which is the child's meanwhile.
  long left = deadline_ms - now_ms();
  pollfd hung_up{pipe_fd, 0, 0};
  if (left > 0) poll(&hung_up, 1, static_cast<int>(left));
}

bool await_exec(int pipe_fd, const Child& child, long deadline_ms, Failure* failure) {
  for (bool ready = false;;) {
    long left = deadline_ms - now_ms();
    pollfd events[] = {{pipe_fd, POLLIN, 0}, {child.ended, POLLIN, 0}};
    if (left > 0 && poll(events, 2, static_cast<int>(left)) < 0 && errno != EINTR) left = 0;
    ChildMessage message;
    ssize_t n = read(pipe_fd, &message, sizeof message);
    if (n == static_cast<ssize_t>(sizeof message)) {
      ready = ready || message.ready == 1;
      if (message.failure.code == 0) continue;
      *failure = message.failure;
      break;
    }
    // Ended without a word is killed before its exec. Somebody else may hold the other end of the pipe open.
    bool over = n == 0 || (events[1].revents & POLLIN);
    if (over && ready) return true;
    if (over)
      *failure = make_failure(ESRCH, "execve", "killed before its exec");
    else if (left <= 0)
      *failure = make_failure(ETIMEDOUT, "execve", "not started in time");
    else
      continue;
    break;
  }
  kill_child(child);
  return false;
}

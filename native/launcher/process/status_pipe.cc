#include "status_pipe.h"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

int make_status_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? errno : 0; }

static void tell(int pipe_fd, const ChildMessage& message) {
  // One write below PIPE_BUF is atomic (pipe(7)); nobody is left to tell if it fails.
  ssize_t ignored = write(pipe_fd, &message, sizeof message);
  (void)ignored;
}

void tell_ready(int pipe_fd) { tell(pipe_fd, {1, {}}); }

void fail_child(int pipe_fd, int code, const char* call, const char* detail) {
  tell(pipe_fd, {0, make_failure(code, call, detail)});
  _exit(127);
}

void fail_child(int pipe_fd, const Failed& failed) { fail_child(pipe_fd, failed.code, failed.call, failed.detail); }

#include "report.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "spec.h"

static void send_parts(iovec* parts, size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  while (message.msg_iovlen > 0) {
    ssize_t n = sendmsg(CONTROL_FD, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return;
    }
    for (size_t sent = static_cast<size_t>(n); message.msg_iovlen > 0;) {
      iovec* part = message.msg_iov;
      size_t step = sent < part->iov_len ? sent : part->iov_len;
      part->iov_base = static_cast<char*>(part->iov_base) + step;
      part->iov_len -= step;
      sent -= step;
      if (part->iov_len > 0) break;
      message.msg_iov++;
      message.msg_iovlen--;
    }
  }
}

void send_frames(const FrameView* frames, size_t count) {
  uint32_t heads[frames_max][2];
  iovec parts[2 * frames_max];
  for (size_t i = 0; i < count; i++) {
    const auto& [type, data, size] = frames[i];
    heads[i][0] = static_cast<uint32_t>(type);
    heads[i][1] = static_cast<uint32_t>(size);
    parts[2 * i] = {heads[i], sizeof heads[i]};
    parts[2 * i + 1] = {const_cast<void*>(data), size};
  }
  send_parts(parts, 2 * count);
}

void send_text(Frame type, const char* format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) return;
  size_t size = static_cast<size_t>(n);
  FrameView frame{type, text, size < sizeof text ? size : sizeof text - 1};
  send_frames(&frame, 1);
}

void let_go_of_daemon() {
  for (int fd : {CONTROL_FD, CGROUP_FD, PID1_FD}) close(fd);
}

void let_go_of_context() {
  for (int fd : {CGROUP_FD, PID1_FD}) dup3(DOOR_FD, fd, O_CLOEXEC);
}

Failure make_failure(int code, const char* call, const char* detail) {
  Failure failure{};
  failure.code = code;
  snprintf(failure.call, sizeof failure.call, "%s", call);
  snprintf(failure.detail, sizeof failure.detail, "%s", detail);
  return failure;
}

void send_failure(const Failure& failure) {
  Failure f = failure;
  f.call[sizeof f.call - 1] = f.detail[sizeof f.detail - 1] = '\0';
  // The call is one word on the wire; a guest may have written this.
  for (char* at = f.call; *at; at++)
    if (*at <= ' ') *at = '_';
  constexpr int last_errno = 4095;
  bool sane = f.code > 0 && f.code <= last_errno;
  send_text(Frame::error, "%d %s %s", sane ? f.code : EPROTO, f.call[0] ? f.call : "launcher", f.detail);
}

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

long now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

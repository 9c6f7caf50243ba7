#include "report.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "spec.h"

void send_frame(Frame type, const void* data, size_t size) {
  uint32_t head[2] = {static_cast<uint32_t>(type), static_cast<uint32_t>(size)};
  iovec parts[2] = {{head, sizeof head}, {const_cast<void*>(data), size}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  size_t left = sizeof head + size;
  while (left > 0) {
    ssize_t n = sendmsg(CONTROL_FD, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return;
    }
    left -= static_cast<size_t>(n);
    for (size_t sent = static_cast<size_t>(n); sent > 0;) {
      iovec* part = message.msg_iov;
      size_t step = sent < part->iov_len ? sent : part->iov_len;
      part->iov_base = static_cast<char*>(part->iov_base) + step;
      part->iov_len -= step;
      sent -= step;
      if (part->iov_len == 0 && message.msg_iovlen > 1) {
        message.msg_iov++;
        message.msg_iovlen--;
      }
    }
  }
}

void send_text(Frame type, const char* format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) return;
  size_t size = static_cast<size_t>(n);
  send_frame(type, text, size < sizeof text ? size : sizeof text - 1);
}

ChildMessage failure_message(int code, const char* call, const char* detail) {
  ChildMessage message{};
  message.failure.code = code;
  snprintf(message.failure.call, sizeof message.failure.call, "%s", call);
  snprintf(message.failure.detail, sizeof message.failure.detail, "%s", detail);
  return message;
}

void fail_child(int pipe_fd, int code, const char* call, const char* detail) {
  ChildMessage message = failure_message(code, call, detail);
  // One write below PIPE_BUF is atomic (pipe(7)); nobody is left to tell if it fails.
  ssize_t ignored = write(pipe_fd, &message, sizeof message);
  (void)ignored;
  _exit(127);
}

void send_failure(const Failure& failure) {
  char call[sizeof failure.call];
  char detail[sizeof failure.detail];
  memcpy(call, failure.call, sizeof call);
  memcpy(detail, failure.detail, sizeof detail);
  call[sizeof call - 1] = detail[sizeof detail - 1] = '\0';
  send_text(Frame::error, "%d %s %s", failure.code, call[0] ? call : "launcher", detail);
}

bool read_child_message(int fd, ChildMessage* message) {
  ssize_t n;
  do n = read(fd, message, sizeof *message);
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(sizeof *message);
}

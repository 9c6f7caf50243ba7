#include "report.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

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

int give_up(const Failed& failed) {
  send_failure(make_failure(failed));
  return 1;
}

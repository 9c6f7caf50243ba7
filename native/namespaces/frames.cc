#include "frames.h"

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

bool FrameReader::fill() {
  bytes_.erase(0, taken_);
  taken_ = 0;
  static char fresh[65536];
  // What nobody has asked for stays where it is, for it may be much; so do others' turns.
  constexpr size_t most_rounds = 16;
  uint32_t head[2];
  size_t missing = 0;
  if (bytes_.size() >= sizeof head) {
    memcpy(head, bytes_.data(), sizeof head);
    missing = sizeof head + head[1] - bytes_.size();
  }
  const size_t rounds = std::min(most_rounds, missing / sizeof fresh + 1);
  for (size_t i = 0; i < rounds; i++) {
    ssize_t n = recv(fd_, fresh, sizeof fresh, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;  // ECONNRESET: it has ended with something unread
    if (n == 0) return false;
    bytes_.append(fresh, static_cast<size_t>(n));
    if (static_cast<size_t>(n) < sizeof fresh) break;
  }
  return true;
}

bool FrameReader::next(Frame* type, std::string_view* data) {
  uint32_t head[2];
  size_t left = bytes_.size() - taken_;
  if (left < sizeof head) return false;
  memcpy(head, bytes_.data() + taken_, sizeof head);
  if (left - sizeof head < head[1]) return false;
  *type = static_cast<Frame>(head[0]);
  *data = {bytes_.data() + taken_ + sizeof head, head[1]};
  taken_ += sizeof head + head[1];
  return true;
}

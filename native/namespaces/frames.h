// What comes from a launcher, frame by frame (native/launcher/protocol/report.h).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "../launcher/protocol/report.h"

class FrameReader {
 public:
  explicit FrameReader(int fd) : fd_(fd) {}

  // Reads what is there, without waiting. False: the launcher has closed its end, or has ended.
  bool fill();
  // The next whole frame. Its data is there until the next fill().
  bool next(Frame* type, std::string_view* data);

 private:
  int fd_;
  std::string bytes_;
  size_t taken_ = 0;
};

// A text file of the guest's, line by line: whatever the guest has put there, reading it waits for nobody and ends
// soon.
#pragma once
#include <sys/types.h>
#include <cstddef>

class GuestLines {
 public:
  // `path` is relative to the caller's root, which is the guest's. No link leads out of it.
  explicit GuestLines(const char* path);
  ~GuestLines();
  GuestLines(const GuestLines&) = delete;
  GuestLines& operator=(const GuestLines&) = delete;
  // Why there are no (more) lines, 0 at the end of the file. EINVAL: no regular file. EAGAIN: a process of the guest
  // holds a lease on it (fcntl(2), F_SETLEASE).
  int error() const { return error_; }
  // The next line without its end, or null. Those that are too long, or have a NUL, are passed over.
  char* next();

  static constexpr size_t longest_line = 16 * 1024;
  // Nothing beyond is read.
  static constexpr size_t largest_file = 1024 * 1024;

 private:
  bool read_more();

  int fd_ = -1;
  int error_ = 0;
  size_t total_ = 0;
  size_t begin_ = 0, end_ = 0;
  char text_[longest_line];
};

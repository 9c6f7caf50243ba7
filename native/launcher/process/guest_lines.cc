#include "guest_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "../../syscalls.h"

namespace {

// O_NONBLOCK: for a FIFO, and for a lease, which open(2) would wait for up to 45 s.
constexpr int how_to_open = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

int open_in_root(const char* path) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  open_how how{};
  how.flags = how_to_open;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // EAGAIN is a rename in between, too (openat2(2)).
  constexpr int attempts = 4;
  int fd = -1;
  for (int i = 0; i < attempts; i++)
    if ((fd = sys_openat2(root, path, how)) >= 0 || errno != EAGAIN) break;
  // Before Linux 5.6: the root is the guest's own, so a link cannot lead out of it either.
  if (fd < 0 && errno == ENOSYS) fd = openat(root, path, how_to_open);
  int err = errno;
  close(root);
  errno = err;
  return fd;
}

}  // namespace

GuestLines::GuestLines(const char* path) : fd_(open_in_root(path)) {
  struct stat info;
  if (fd_ < 0 || fstat(fd_, &info) < 0)
    error_ = errno;
  else if (!S_ISREG(info.st_mode))
    error_ = EINVAL;
}

GuestLines::~GuestLines() {
  if (fd_ >= 0) close(fd_);
}

// False at the end of what is read.
bool GuestLines::read_more() {
  if (error_) return false;
  size_t room = sizeof text_ - end_;
  if (room > largest_file - total_) room = largest_file - total_;
  ssize_t n;
  do n = read(fd_, text_ + end_, room);
  while (n < 0 && errno == EINTR);
  if (n < 0) error_ = errno;
  if (n <= 0) return false;
  end_ += static_cast<size_t>(n);
  total_ += static_cast<size_t>(n);
  return true;
}

char* GuestLines::next() {
  for (bool is_too_long = false;;) {
    char* line = text_ + begin_;
    char* newline = static_cast<char*>(memchr(line, '\n', end_ - begin_));
    if (newline) {
      *newline = '\0';
      begin_ = static_cast<size_t>(newline - text_) + 1;
      bool is_usable = !is_too_long && strlen(line) == static_cast<size_t>(newline - line);
      is_too_long = false;
      if (is_usable) return line;
      continue;
    }
    memmove(text_, line, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (end_ == sizeof text_) {
      is_too_long = true;
      end_ = 0;
    }
    if (read_more()) continue;
    // The last line may lack its end; where the file was cut off for its size, it is not known to be whole.
    if (error_ || end_ == 0 || is_too_long || total_ == largest_file) return nullptr;
    text_[end_] = '\0';
    bool is_usable = strlen(text_) == end_;
    end_ = 0;
    return is_usable ? text_ : nullptr;
  }
}

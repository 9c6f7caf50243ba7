#include "reserve.h"

#include <fcntl.h>
#include <sys/stat.h>

Result reserve(int fd, off_t offset, off_t length) {
  int result;
  do {
    result = fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length);
  } while (result < 0 && errno == EINTR);
  if (result == 0) return ok(1);
  return errno == EOPNOTSUPP || errno == ENOSYS ? ok(0) : failed("fallocate");
}

Result size_unless_removed(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return failed("fstat");
  return ok(info.st_nlink == 0 ? -1 : info.st_size);
}

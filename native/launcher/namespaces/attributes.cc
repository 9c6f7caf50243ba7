#include "attributes.h"

#include <sys/xattr.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "../protocol/spec.h"

int keep(const char* attribute, const char* format, ...) {
  char text[64];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0 || static_cast<size_t>(n) >= sizeof text) return EOVERFLOW;
  return fsetxattr(CGROUP_FD, attribute, text, static_cast<size_t>(n), 0) < 0 ? errno : 0;
}

void keep_status(const char* attribute, int status, OomKilled oom) {
  keep(attribute, "%d %c", status, static_cast<char>(oom));
}

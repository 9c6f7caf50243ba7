#include "attributes.h"

#include <sys/xattr.h>

Result set_attribute(const std::string& path, const std::string& name, const std::string& value) {
  return setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) < 0 ? failed("setxattr") : ok();
}

Result get_attribute(const std::string& path, const std::string& name, std::string* value, bool* found) {
  char data[4352];  // a root path (PATH_MAX) is the longest value
  ssize_t size = getxattr(path.c_str(), name.c_str(), data, sizeof data);
  *found = size >= 0;
  if (size < 0) return errno == ENODATA ? ok() : failed("getxattr");
  value->assign(data, static_cast<size_t>(size));
  return ok();
}

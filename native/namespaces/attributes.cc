#include "attributes.h"

#include <sys/xattr.h>
#include <cstring>

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

Result get_attributes(const std::string& path, const std::string& prefix, std::map<std::string, std::string>* values) {
  char names[4096];  // there are fewer than 30 of ours
  ssize_t size = listxattr(path.c_str(), names, sizeof names);
  if (size < 0) return failed("listxattr");
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (prefix.compare(0, prefix.size(), name, strnlen(name, prefix.size())) != 0) continue;
    bool found = false;
    std::string value;
    if (Result result = get_attribute(path, name, &value, &found); result.code) return result;
    if (found) (*values)[name + prefix.size()] = value;
  }
  return ok();
}

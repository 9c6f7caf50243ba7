// Extended attributes of a context's cgroup directory: where its state is kept.
#pragma once
#include <map>
#include <string>

#include "../result.h"

// setxattr(2) and getxattr(2). getting sets `found` to false when there is no such attribute (ENODATA).
Result set_attribute(const std::string& path, const std::string& name, const std::string& value);
Result get_attribute(const std::string& path, const std::string& name, std::string* value, bool* found);

// listxattr(2): all whose names begin with `prefix`, by what follows it.
Result get_attributes(const std::string& path, const std::string& prefix, std::map<std::string, std::string>* values);

// Extended attributes of a context's cgroup directory: where its state is kept.
#pragma once
#include <string>

#include "result.h"

// setxattr(2) and getxattr(2). getting sets `found` to false when there is no such attribute (ENODATA).
Result set_attribute(const std::string& path, const std::string& name, const std::string& value);
Result get_attribute(const std::string& path, const std::string& name, std::string* value, bool* found);

#include "usage.h"

#include <fcntl.h>
#include <unistd.h>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "../fd.h"

static int64_t usage_of(const std::string& cgroup) {
  Fd file(open((cgroup + "/cpu.stat").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return -1;
  char text[2048];
  ssize_t n = read(file.get(), text, sizeof text - 1);
  if (n < 0) return -1;
  text[n] = '\0';
  const char* line = strstr(text, "usage_usec ");
  int64_t usage = -1;
  return line && sscanf(line, "usage_usec %" SCNd64, &usage) == 1 ? usage : -1;
}

std::vector<int64_t> cpu_usage(const std::vector<std::string>& cgroups) {
  std::vector<int64_t> usages;
  usages.reserve(cgroups.size());
  for (const std::string& cgroup : cgroups) usages.push_back(usage_of(cgroup));
  return usages;
}

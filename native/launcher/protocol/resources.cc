#include "resources.h"

#include <sys/resource.h>
#include <cstring>

namespace {

// Numbers differ between architectures, names do not (getrlimit(2)).
constexpr struct {
  const char* name;
  __rlimit_resource resource;
} resources[] = {{"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
                 {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
                 {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
                 {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
                 {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
                 {"stack", RLIMIT_STACK}};

}  // namespace

int resource_of(const char* name) {
  for (const auto& r : resources)
    if (!strcmp(r.name, name)) return r.resource;
  return -1;
}

const char* resource_name(int resource) {
  for (const auto& r : resources)
    if (r.resource == resource) return r.name;
  return nullptr;
}

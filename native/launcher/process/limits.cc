#include "limits.h"

#include <sys/resource.h>
#include <cerrno>
#include <cstdio>
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

Failed too_high(__rlimit_resource resource, rlim_t most) {
  static char detail[80];
  for (const auto& r : resources)
    if (r.resource == resource)
      snprintf(detail, sizeof detail, "%s is above %llu, which guests may have at most", r.name,
               static_cast<unsigned long long>(most));
  return {EINVAL, "setrlimit", detail};
}

}  // namespace

int resource_of(const char* name) {
  for (const auto& r : resources)
    if (!strcmp(r.name, name)) return r.resource;
  return -1;
}

Failed limit_resources(const Spec& spec) {
  for (size_t i = 0; i < spec.limit_count; i++) {
    const auto& [number, soft, hard] = spec.limits[i];
    const auto resource = static_cast<__rlimit_resource>(number);
    rlimit limit;
    if (getrlimit(resource, &limit) < 0) return {errno, "getrlimit", ""};
    if (hard > limit.rlim_max) return too_high(resource, limit.rlim_max);
    limit = {soft, hard};
    if (setrlimit(resource, &limit) < 0) return {errno, "setrlimit", ""};
  }
  return {};
}

#include "limits.h"

#include <sys/resource.h>
#include <cerrno>
#include <cstdio>

#include "../protocol/resources.h"

namespace {

Failed too_high(__rlimit_resource resource, rlim_t most) {
  static char detail[80];
  snprintf(detail, sizeof detail, "%s is above %llu, which guests may have at most", resource_name(resource),
           static_cast<unsigned long long>(most));
  return {EINVAL, "setrlimit", detail};
}

}  // namespace

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

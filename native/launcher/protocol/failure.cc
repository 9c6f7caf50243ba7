#include "failure.h"

#include <cstdio>

Failure make_failure(int code, const char* call, const char* detail) {
  Failure failure{};
  failure.code = code;
  snprintf(failure.call, sizeof failure.call, "%s", call);
  snprintf(failure.detail, sizeof failure.detail, "%s", detail);
  return failure;
}

Failure make_failure(const Failed& failed) { return make_failure(failed.code, failed.call, failed.detail); }

// How the system code answers: no exceptions, no errno left behind for somebody else to overwrite.
#pragma once
#include <cerrno>

// `code` 0 is success; otherwise `call` names the system call that failed and `code` is its errno.
struct Result {
  int code = 0;
  const char* call = "";
  long value = 0;
};

inline Result ok(long value = 0) { return {0, "", value}; }
inline Result failed(const char* call, int code = errno) { return {code, call, -1}; }

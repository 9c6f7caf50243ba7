// What failed: in this process, and as it is told to another one.
#pragma once
#include <cstdint>

// A step that failed; code 0 means that it did not.
struct Failed {
  int code = 0;
  const char* call = "";
  const char* detail = "";
};

// The same with strings of its own, to be sent.
struct Failure {
  int32_t code;  // errno; 0 is no failure
  char call[24];
  char detail[100];
};
Failure make_failure(int code, const char* call, const char* detail);
Failure make_failure(const Failed& failed);

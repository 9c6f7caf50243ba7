// The clock that deadlines are counted by.
#pragma once
#include <ctime>

// Milliseconds of CLOCK_MONOTONIC.
inline long now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

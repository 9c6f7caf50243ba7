#pragma once

#include <cstdint>
#include <string>
#include <vector>

// --fail: the `at`th call of `command` fails with `error`, and has no effect.
struct Fault {
  std::string command;
  int error;
  unsigned at;
  unsigned seen = 0;
};

struct Options {
  bool trace = false;
  std::string trace_file;
  std::vector<Fault> faults;
  uint32_t version = 0x00020308;
  std::string vshelper;
  bool stub = false;
  char** command = nullptr;
};

extern Options options;

// Returns -1 to go on, or the exit code.
int parse_options(int argc, char** argv);

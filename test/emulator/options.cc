#include "options.h"

#include <getopt.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "commands.h"
#include "trace.h"

Options options;

namespace {

constexpr char usage[] =
    "usage: emulator [options] -- COMMAND [ARGS...]\n"
    "Runs COMMAND as on a kernel with the vserver(2) system call.\n"
    "  --trace[=FILE]            one line per vserver call, to standard error or appended to FILE\n"
    "  --fail COMMAND=ERRNO[:N]  the Nth call of COMMAND (default: the first) fails with ERRNO; repeatable\n"
    "  --abi-version HEX         what get_version returns (default 0x00020308)\n"
    "  --vshelper PATH           what reboot(2) in a guest and SC_HELPER run (default: nothing)\n"
    "  --stub                    the call does nothing and returns 0, for measuring\n"
    "  --help                    this text\n";

int refuse(const char* what, const char* value) {
  fprintf(stderr, "emulator: %s: %s\n%s", what, value, usage);
  return 2;
}

bool parse_fault(const std::string& text, Fault* fault) {
  size_t equals = text.find('=');
  if (equals == std::string::npos) return false;
  size_t colon = text.find(':', equals);
  fault->command = text.substr(0, equals);
  fault->error = errno_of(text.substr(equals + 1, colon == std::string::npos ? colon : colon - equals - 1));
  fault->at = 1;
  if (colon != std::string::npos) {
    char* end;
    unsigned long at = strtoul(text.c_str() + colon + 1, &end, 10);
    if (*end || at == 0 || at > 1000000000) return false;
    fault->at = static_cast<unsigned>(at);
  }
  return fault->error > 0 && is_command(fault->command);
}

bool parse_version(const char* text) {
  char* end;
  unsigned long value = strtoul(text, &end, 16);
  options.version = static_cast<uint32_t>(value);
  return end != text && !*end && value <= 0x7fffffff;
}

}  // namespace

int parse_options(int argc, char** argv) {
  enum { trace = 1, fail, abi_version, vshelper, stub, help };
  static const option longs[] = {{"trace", optional_argument, nullptr, trace},
                                 {"fail", required_argument, nullptr, fail},
                                 {"abi-version", required_argument, nullptr, abi_version},
                                 {"vshelper", required_argument, nullptr, vshelper},
                                 {"stub", no_argument, nullptr, stub},
                                 {"help", no_argument, nullptr, help},
                                 {}};
  // '+': the options of COMMAND are its own.
  for (int got; (got = getopt_long(argc, argv, "+", longs, nullptr)) != -1;) {
    Fault fault;
    switch (got) {
      case trace:
        options.trace = true;
        if (optarg) options.trace_file = optarg;
        break;
      case fail:
        if (!parse_fault(optarg, &fault)) return refuse("--fail needs COMMAND=ERRNO[:N]", optarg);
        options.faults.push_back(fault);
        break;
      case abi_version:
        if (!parse_version(optarg)) return refuse("--abi-version needs a hexadecimal number", optarg);
        break;
      case vshelper: options.vshelper = optarg; break;
      case stub: options.stub = true; break;
      case help: fputs(usage, stdout); return 0;
      default: fputs(usage, stderr); return 2;
    }
  }
  if (optind >= argc) return refuse("nothing to run", "COMMAND is missing");
  options.command = argv + optind;
  return -1;
}

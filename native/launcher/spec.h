// What the daemon asks of the launcher: one message on descriptor CONTROL_FD.
#pragma once
#include <sys/types.h>
#include <cstddef>
#include <cstdint>

// Descriptors of the launcher. The socket is there from the start; the others come with the order (SCM_RIGHTS).
constexpr int CONTROL_FD = 3;  // stream socket to the daemon
constexpr int CGROUP_FD = 4;   // the context's cgroup directory
constexpr int PID1_FD = 5;     // mode exec: pidfd of the context's PID 1

enum class Mode { none, probe, init, reaper, exec };

struct StringList {
  char** items = nullptr;  // terminated by a null pointer, as execve(2) wants it
  size_t count = 0;
};

// Strings point into the message's own buffer.
struct Spec {
  Mode mode = Mode::none;
  StringList argv;
  StringList env;
  const char* cwd = "/";
  const char* root = nullptr;  // absolute path; null: the host's root filesystem, read-only
  const char* nodename = nullptr;
  const char* domainname = nullptr;
  uid_t uid = 0;
  gid_t gid = 0;
  gid_t* groups = nullptr;
  size_t group_count = 0;
  uint64_t bcaps = 0;
  bool poke_reaper = false;  // PID 1 is our reaper: tell it when a process has ended
  bool capture = false;
  size_t capture_limit = 0;  // bytes kept of each stream
  long timeout_ms = 0;       // 0: none
  const char* stdin_data = nullptr;
  size_t stdin_size = 0;
};

// A message is {u32 size of fields, u32 size of stdin} in host order, then fields as "key=value\0", then stdin bytes.
struct SpecHeader {
  uint32_t fields;
  uint32_t stdin_size;
};
constexpr uint32_t SPEC_MAX = 1u << 20;

// All return 0 or a positive errno. `buffer` owns the strings of the spec and is freed by the caller.
// With `take_descriptors`, those that come with the message are put on CGROUP_FD and PID1_FD. EPIPE: end of file.
int read_spec_message(int fd, char** buffer, SpecHeader* header, bool take_descriptors = false);
int parse_spec(char* fields, const SpecHeader& header, Spec* spec);
void free_lists(Spec* spec);

// What the daemon asks of the launcher: one message on descriptor CONTROL_FD.
#pragma once
#include <sys/types.h>
#include <cstddef>
#include <cstdint>

// Of orders, frames, door.h and the descriptors below: a shim outlives its daemon, and the next one may be of another
// version of contextd. Raised with every change that the other side would not understand.
constexpr uint32_t PROTOCOL = 3;

// Descriptors of the launcher. The socket is there from the start; those of order_fds come with the
// order (SCM_RIGHTS).
constexpr int CONTROL_FD = 3;     // stream socket to the daemon
constexpr int CGROUP_FD = 4;      // the context's cgroup directory
constexpr int PID1_FD = 5;        // mode exec: pidfd of the context's PID 1
constexpr int DOOR_FD = 6;        // a shim's end of its door
constexpr int OUTER_DOOR_FD = 7;  // the end that a later daemon takes
constexpr int FORKS_FD = 8;       // keeps forks being counted; /dev/null where they are not
constexpr int FORKS_MAP_FD = 9;   // their numbers
constexpr int PROC_FD = 10;       // the host's /proc and /dev: in a shim's own namespace both are the guest's
constexpr int DEV_FD = 11;
constexpr int LOG_FD = 12;  // directory of logs, or of the journal's socket
constexpr int LAST_FD = LOG_FD;

// What a launcher gets ready for before it has its order.
enum class Kind : uint32_t {
  shim = 's',  // probe, init, reaper
  join = 'j',  // exec
  plain = 'p'
};
// Comes to the zygote with the launcher's socket.
struct Wanted {
  uint64_t bcaps;  // the most that its order may give
  Kind kind;
};

enum class Mode {
  none,
  // Namespaces
  probe,
  init,
  reaper,
  exec,
  // Linux-VServer
  vs_create,
  vs_enter,
  vs_list
};

constexpr size_t lxcfs_max = 8;
constexpr size_t resource_limits_max = 16;
// A file of a log has room for what is written at once.
constexpr size_t log_size_min = 65536;

struct StringList {
  char** items = nullptr;  // terminated by a null pointer, as execve(2) wants it
  size_t count = 0;
};

// Of setrlimit(2).
struct ResourceLimit {
  int resource;
  uint64_t soft, hard;  // RLIM_INFINITY: unlimited
};

// Strings point into the message's own buffer.
struct Spec {
  Mode mode = Mode::none;
  StringList argv;
  StringList env;
  StringList lxcfs;  // files of lxcfs that take the place of those in /proc, such as meminfo
  const char* cwd = "/";
  const char* root = nullptr;  // absolute path; null: the host's root filesystem, read-only
  const char* nodename = nullptr;
  const char* domainname = nullptr;
  // Of account.h: the guest's passwd and group are asked for what is not given here.
  bool has_account = false;
  const char* user = nullptr;  // name; null: uid is given
  uid_t uid = 0;
  bool has_gid = false;              // it is given, or group_name is
  const char* group_name = nullptr;  // null: gid is given, or neither
  gid_t gid = 0;
  bool has_groups = false;
  gid_t* groups = nullptr;
  size_t group_count = 0;
  mode_t mask = 022;  // umask(2)
  ResourceLimit limits[resource_limits_max] = {};
  size_t limit_count = 0;
  uint64_t bcaps = 0;
  uint64_t bounding = ~uint64_t{0};  // what the launcher's own bounding set has
  uint32_t xid = 0;
  uint64_t word = 0;    // of ctx_create or ctx_migrate
  uint64_t spaces = 0;  // CLONE_* of the namespaces that the context has of its own; of namespaces, NEWTIME and NEWNET
  uint64_t clears = 0;  // vs_enter: STATE_* to be cleared before the exec
  bool is_private = false;   // vs_enter: INFO_PRIVATE is set
  bool ignore_nice = false;  // a raise of priority succeeds without effect, unless bcaps allow it
  int fork_slot = 0;         // where its forks are counted, 0: nowhere
  bool poke_reaper = false;  // PID 1 is our reaper: tell it when a process has ended
  bool capture = false;
  size_t capture_limit = 0;           // bytes kept of each stream
  long timeout_ms = 0;                // 0: none
  long start_delay_ms = 0;            // init: for so long its start may stay untold
  const char* log = nullptr;          // xid of the log that output goes to when it is not captured; null: /dev/null
  const char* log_owner = nullptr;    // "BOOT_ID NUMBER": which of the contexts that have had this xid
  const char* log_journal = nullptr;  // name of the journal's socket; null: the log is a file
  size_t log_size = 0;                // bytes of a file, at least log_size_min
  unsigned log_files = 0;             // at least 1
  const char* stdin_data = nullptr;
  size_t stdin_size = 0;
};

// A message is this header in host order, then fields as "key=value\0", then stdin bytes.
struct SpecHeader {
  uint32_t protocol;     // PROTOCOL
  uint32_t fields;       // bytes
  uint32_t stdin_size;   // bytes
  uint32_t descriptors;  // that come with it: bit N is that of order_fds[N]
};
constexpr int order_fds[] = {CGROUP_FD, PID1_FD, LOG_FD};
constexpr uint32_t SPEC_MAX = 1u << 20;

// All return 0 or a positive errno; EPROTONOSUPPORT for an order of another version. `buffer` owns the strings of the
// spec and is freed by the caller. With `take_descriptors`, those that come with the message are put in their
// places. EPIPE: end of file.
int read_spec_message(int fd, char** buffer, SpecHeader* header, bool take_descriptors = false);
int parse_spec(char* fields, const SpecHeader& header, Spec* spec);
void free_lists(Spec* spec);

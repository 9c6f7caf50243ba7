// What /dev and /proc of a guest hold, however they are mounted.
#pragma once
#include <cstring>

struct Device {
  const char* name;
  unsigned major, minor;
};
// What a program may expect without MKNOD (Documentation/admin-guide/devices.txt, section "Compulsory links").
constexpr Device guest_devices[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                                    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

// Pseudoterminals of a guest (Documentation/filesystems/devpts.rst): all of the host share kernel.pty.max, 4096.
#define CONTEXTD_MOST_PTYS "256"
constexpr const char* most_ptys = CONTEXTD_MOST_PTYS;
constexpr const char* pts_options = "newinstance,ptmxmode=0666,mode=0620,gid=5,max=" CONTEXTD_MOST_PTYS;

struct Link {
  const char* name;
  const char* to;
};
constexpr Link guest_links[] = {{"fd", "/proc/self/fd"},
                                {"stdin", "/proc/self/fd/0"},
                                {"stdout", "/proc/self/fd/1"},
                                {"stderr", "/proc/self/fd/2"},
                                {"ptmx", "pts/ptmx"}};

struct ReadOnly {
  const char* path;
  bool required;  // not every kernel configuration has every path
};
// Writable by uid 0 without any capability, and they act on the host: core_pattern, sysrq, interrupt routing.
constexpr ReadOnly read_only_in_proc[] = {
    {"sys", true}, {"sysrq-trigger", false}, {"irq", false}, {"bus", false}, {"fs", false}};

// Readable by uid 0, and they tell of the host: its memory, its messages, its keys, its devices. Files are covered by
// the guest's own /dev/null, directories by an empty one that is read-only. What a kernel has not is passed over.
constexpr const char* covered_in_proc[] = {
    "/proc/kcore",       "/proc/kmsg",          "/proc/kallsyms",  "/proc/kpagecount", "/proc/kpageflags",
    "/proc/kpagecgroup", "/proc/keys",          "/proc/key-users", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/latency_stats", "/proc/acpi",      "/proc/scsi",       "/proc/asound"};

// For guests that see a sysfs. A power meter tells what a neighbour computes; the cgroup tree holds every guest.
constexpr const char* covered_in_sys[] = {
    "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/security",
    "/sys/fs/bpf",   "/sys/fs/pstore",    "/sys/fs/cgroup",      "/sys/devices/virtual/powercap"};

// Covered wherever it is mounted.
inline bool is_cgroup(const char* type) { return !strcmp(type, "cgroup") || !strcmp(type, "cgroup2"); }

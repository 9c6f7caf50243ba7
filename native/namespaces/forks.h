// Counts the forks of contexts: an eBPF program at the kernel's sched_process_fork tracepoint looks up the cgroup of
// who forks. bpf(2); Linux 5.8 for links. No file keeps it: it counts while a daemon or a launcher has it open, which
// is while a process of a context can be there.
#pragma once
#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

#include "../result.h"

struct ForkCounter {
  int link;      // keeps the program where it is
  int slots;     // hash: cgroup id -> slot, of the cgroups that are counted
  int counters;  // array, can be mapped into memory: slot -> forks
};
constexpr uint32_t FORK_SLOTS = 65536;  // one for each xid

// Takes over what an earlier daemon has made for this directory of contexts and something still holds, or makes it.
// `level` is the depth of a context's cgroup below the root of the hierarchy. ENOTSUP in a cgroup namespace, where
// that depth cannot be known.
Result open_fork_counter(const std::string& contexts, uint32_t level, ForkCounter* counter);

// Counts the forks of a cgroup from now on, beginning with `base`. `key` becomes its id. E2BIG when too many are
// counted.
Result count_forks(const ForkCounter& counter, const std::string& cgroup, uint32_t slot, uint64_t base, uint64_t* key);
// The id of a cgroup, and whether (value 1 or 0) its forks are counted.
Result find_forks(const ForkCounter& counter, const std::string& cgroup, uint64_t* key);
Result read_forks(const ForkCounter& counter, uint32_t slot, uint64_t* forks);
Result forget_forks(const ForkCounter& counter, uint64_t key);
// The ids of all that is counted.
Result list_forks(const ForkCounter& counter, std::vector<uint64_t>* keys);

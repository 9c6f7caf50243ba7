// CPU time of cgroups.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// Microseconds that all that is or was in each cgroup has used: usage_usec of cpu.stat, which every cgroup has,
// whatever its controllers (cgroup-v2.rst). -1 where the kernel does not say, or the cgroup is gone.
std::vector<int64_t> cpu_usage(const std::vector<std::string>& cgroups);

// The forks of a context, which an eBPF program counts (native/namespaces/forks.h).
#pragma once

// Leaves the number in an attribute of the cgroup when a run has ended: who counts may end next, and it with him.
void keep_forks(int slot);

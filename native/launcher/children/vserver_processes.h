// The processes of a Linux-VServer context. The host's /proc does not show them: the spectator context's does.
#pragma once
#include <sys/types.h>
#include <cstddef>
#include <cstdint>

#include "../../result.h"

// `stat` is what /proc/PID/stat holds, `size` bytes and a NUL.
using FoundProcess = void (*)(void* to, pid_t pid, const char* stat, size_t size);

// Calls `found` for each process of the context. The caller is moved to the spectator context for good.
Result for_each_vserver_process(uint32_t xid, FoundProcess found, void* to);

// SIGKILL for every process of the context that is in this process group, until none is left.
void kill_vserver_group(uint32_t xid, pid_t group);

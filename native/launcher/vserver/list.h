// The processes of a Linux-VServer context. The host's /proc does not show them: the spectator context's does.
#pragma once
#include <sys/types.h>

#include "../protocol/spec.h"

// Mode vs_list: sends the contents of /proc/PID/stat of each process, with a NUL after each, as an `out` frame.
int run_vserver_list(const Spec& spec);

// SIGKILL for every process of the context that is in this process group, until none is left.
void kill_vserver_group(uint32_t xid, pid_t group);

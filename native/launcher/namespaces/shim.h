// The process that stays on the host: parent of a context's PID 1, keeper of its exit status.
#pragma once
#include "../children/oom.h"
#include "../log/log.h"
#include "../mounts/mounts.h"
#include "../process/spawn.h"
#include "../protocol/spec.h"

// Modes init and reaper. Does not return before PID 1 has ended.
int run_shim(const Spec& spec, GuestMounts* mounts, Pipes pipes, const ChildStack& stack);

// Mode probe: can this kernel and this user make the namespaces a context needs?
int run_probe(const GuestMounts& mounts);

// Keeps a wait(2) status in an attribute of the cgroup, where a later daemon finds it.
void keep_status(const char* attribute, int status, OomKilled oom);

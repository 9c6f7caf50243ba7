// The process that stays on the host: parent of a context's PID 1, keeper of its exit status.
#pragma once
#include "log.h"
#include "mounts.h"
#include "oom.h"
#include "spawn.h"
#include "spec.h"

// Modes init and reaper. Does not return before PID 1 has ended.
int run_shim(const Spec& spec, GuestMounts* mounts, Pipes pipes, const ChildStack& stack);

// Mode probe: can this kernel and this user make the namespaces a context needs?
int run_probe(const GuestMounts& mounts);

// Keeps a wait(2) status in an attribute of the cgroup, where a later daemon finds it.
void keep_status(const char* attribute, int status, OomKilled oom);

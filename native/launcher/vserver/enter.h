// A process of a Linux-VServer context.
#pragma once
#include "../log/log.h"
#include "../protocol/spec.h"

// Mode vs_enter. Does not return before the process has ended.
int run_vserver_enter(const Spec& spec, Pipes pipes);

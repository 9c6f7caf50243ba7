// The host program that the kernel runs for contexts: kernel.vshelper.
#pragma once

#include "contexts.h"

// True when the call has to wait for the helper, which then has been started.
bool start_startup_helper(Call* call);
void start_shutdown_helper(const ContextPtr& context);
// Ends what waited for helpers that have ended.
void reap_helpers();

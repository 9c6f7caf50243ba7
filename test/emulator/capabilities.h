#pragma once

#include "call.h"

void start_capabilities();
// Those that the caller of a vserver call has on the emulated kernel.
uint64_t capabilities_of(const Call& call);
// Takes away from the stopped caller what `bcaps` does not hold, for it and all that it executes. The real kernel
// masks on every check instead: there, a later change of bcaps reaches processes that run already; here it does not.
void cut_capabilities(Injection* injection, pid_t tid, uint64_t bcaps);

#pragma once

#include "call.h"

// What ctx_create without data does besides: UTS and IPC namespaces of its own, which are the context's.
void share_default_spaces(Call* call);

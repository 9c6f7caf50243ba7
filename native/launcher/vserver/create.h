// A new Linux-VServer context.
#pragma once
#include "../protocol/spec.h"

// Mode vs_create: makes the context spec.xid with flags spec.word, which have PERSISTENT, and gives it namespaces,
// spec.spaces, with its mounts in place. Either all of it is there afterwards, or nothing.
int run_vserver_create(const Spec& spec);

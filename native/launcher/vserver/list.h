// The processes of a Linux-VServer context, listed.
#pragma once
#include "../protocol/spec.h"

// Mode vs_list: sends the contents of /proc/PID/stat of each process, with a NUL after each, as an `out` frame.
int run_vserver_list(const Spec& spec);

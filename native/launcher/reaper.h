// PID 1 of a context without an init of its own: reaps, ends with the last process, or becomes the guest's init.
#pragma once
#include "spec.h"

// `control` is a socket to the shim: a spec to become comes in, a ChildMessage goes out on failure and end of file on
// success.
[[noreturn]] void run_reaper(int control);

// PID 1 of a context without an init of its own: reaps, ends with the last process, or becomes the guest's init.
#pragma once

// `orders` is a socket to the shim: specs to become come in, a Failure goes out; end of file is an exec that succeeded.
// `status_pipe` hears when this is ready and is closed then.
[[noreturn]] void run_reaper(int orders, int status_pipe);

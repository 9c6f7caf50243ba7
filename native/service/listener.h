// Sockets that a service manager has opened: sd_listen_fds(3).
#pragma once
#include <string>

#include "../result.h"

// Takes a passed descriptor, which no child gets from now on. `path` is its address in the file system, '@' and the
// name for an abstract one. Value 1: it is a Unix stream socket that listens; 0: it is something else. EBADF: it is not
// open.
Result adopt_listener(int fd, std::string* path);

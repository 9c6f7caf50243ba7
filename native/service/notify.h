// What a service manager is told: sd_notify(3).
#pragma once
#include <string>

#include "../result.h"

// Sends `state`, lines of KEY=VALUE, as one datagram to the Unix socket at `address`, which is $NOTIFY_SOCKET: a path,
// or an abstract name after '@'. Never waits: EAGAIN while the manager's queue is full. EINVAL: no such address can be.
Result notify(const std::string& address, const std::string& state);

// Namespaces that a context has by its flags at creation.
#pragma once
#include "../process/become.h"
#include "../protocol/spec.h"

// VIRT_UPTIME: the next process that the caller makes is in a time namespace whose CLOCK_BOOTTIME and CLOCK_MONOTONIC
// start at 0. Leaves the offset, in nanoseconds, where the daemon finds it.
Failed prepare_time();

// HIDE_NETIF, in PID 1 of the new network namespace with its mounts done: lo is up, and /sys shows no other one.
Failed set_up_network(const Spec& spec);

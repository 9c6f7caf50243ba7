// A root of the guest's own.
#pragma once
#include "../protocol/failure.h"
#include "guest_mounts.h"

// That directory becomes "/" of the caller and its namespace.
Failed enter_root(const char* path, GuestMounts* m);

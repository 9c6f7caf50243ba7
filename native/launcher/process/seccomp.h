// The system calls that no guest makes.
#pragma once
#include <cstdint>

#include "become.h"

constexpr uint64_t cap_sys_admin = uint64_t{1} << 21;
constexpr uint64_t cap_sys_nice = uint64_t{1} << 23;

// From here on this process and its children get EPERM for what the table in seccomp.cc has and no launcher needs. The
// zygote does it once for all of them, for it takes a while. Needs SYS_ADMIN. ENOSYS and EINVAL: not in this kernel.
Failed refuse_system_calls();

// And for what launchers do need, and for new user namespaces, unless the guest will hold SYS_ADMIN: with that it may
// do anyway whatever they would let it try. After this clone3(2) is ENOSYS. The last step before capabilities are
// dropped.
Failed refuse_guests_calls(bool has_sys_admin);

// From here on setpriority(2) and nice(2) with a negative value succeed without effect, unless the guest will hold
// SYS_NICE, which allows them. A filter does not know the priority that a process has, so a raise to a value that is
// not negative goes on to the kernel, which refuses it with EACCES. Needs SYS_ADMIN.
Failed ignore_negative_nice(bool has_sys_nice);

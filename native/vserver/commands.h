// The commands of vserver(2), one function each, in the order of libvserver's context.c; then those that it leaves out.
// All fail with ENOSYS where the kernel has no such call or the caller no CAP_CONTEXT, and with ESRCH for an unknown
// xid. What else they fail with stands beside each. No call is made on a machine without a number for it.
#pragma once
#include <sys/types.h>

#include "../result.h"
#include "abi.h"

namespace vserver {

// Makes a context and moves the calling task into it, for good. Value: the xid.
// EINVAL: not in 2..65535. EEXIST, and EBUSY while that one is being set up. ENOEXEC: the helper of SC_HELPER failed.
Result ctx_create(uint32_t xid, uint64_t flags);
// Moves the calling task into a context, for good; xid 1 is the spectator, which sees every process.
// EACCES: INFO_PRIVATE, or no STATE_ADMIN. EFAULT: shutting down. EPERM: from inside a context.
Result ctx_migrate(uint32_t xid, uint64_t flags);
// Value: the xid of a process, hidden or not; pid 0 is the caller. ESRCH: no such process.
Result task_xid(pid_t pid);
Result vx_info(uint32_t xid, VxInfo* info);
Result ctx_stat(uint32_t xid, CtxStat* stat);
Result virt_stat(uint32_t xid, VirtStat* stat);
// The setters: EACCES without STATE_ADMIN. EPERM without SYS_RESOURCE, or from inside unless STATE_SETUP is set.
Result set_bcaps(uint32_t xid, MaskedWord word);
Result get_bcaps(uint32_t xid, MaskedWord* word);
Result set_ccaps(uint32_t xid, MaskedWord word);
Result get_ccaps(uint32_t xid, MaskedWord* word);
Result set_cflags(uint32_t xid, MaskedWord word);
// The mask has the bits that may still be changed.
Result get_cflags(uint32_t xid, MaskedWord* word);
// EINVAL: no such field, or one of uname's in a context without a UTS space of its own; more than 64 bytes.
Result set_vhi_name(uint32_t xid, uint32_t field, const char* name);
// `name` is always terminated.
Result get_vhi_name(uint32_t xid, uint32_t field, char name[name_size]);
// pid 0: every process; -1: every one but init; 1: init; else that one. ESRCH: none. EINVAL: no such signal.
// EACCES: no STATE_ADMIN, but for pid 1, or 0 and -1 where there is no init.
Result ctx_kill(uint32_t xid, pid_t pid, int sig);
// Blocks until the context is dead and gone. EINTR, with what the kernel has of both so far. From a reboot(2) in the
// context on that does not end it the caller runs instead of sleeping (death.h).
Result wait_exit(uint32_t xid, WaitExit* result);

// Value: such as 0x00020308 for 2.3.8.
Result get_version();
// Value: the configuration bits (linux/vserver/switch.h, VCI_*).
Result get_vci();
// The namespaces, CLONE_NEW* and CLONE_FS, that a context can have of its own.
Result get_space_mask(uint64_t* mask);
// Keeps the caller's namespaces as those of the context. EINVAL: a bit the kernel has not.
Result set_space(uint32_t xid, uint64_t mask);
// Gives the caller those of the context. EACCES: INFO_PRIVATE, in setup too. EINVAL: not among those that it has, or 0,
// for which no call is made.
Result enter_space(uint32_t xid, uint64_t mask);

}  // namespace vserver

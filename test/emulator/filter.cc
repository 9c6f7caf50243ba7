#include "filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "abi.h"
#include "traps.h"

namespace {

// statx(2) is the first call that a Linux 4.9 does not have; everything after it is newer still.
constexpr uint32_t first_unknown_call = SYS_statx;

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }

// The next instruction is skipped unless the loaded word is `value`.
sock_filter if_equal(uint32_t value) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1); }

int install(const std::vector<sock_filter>& code, unsigned flags) {
  sock_fprog program{static_cast<unsigned short>(code.size()), const_cast<sock_filter*>(code.data())};
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

std::vector<sock_filter> for_x86_64() {
  return {load(offsetof(seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
          answer(SECCOMP_RET_ALLOW), load(offsetof(seccomp_data, nr))};
}

}  // namespace

int install_filter() {
  std::vector<sock_filter> code = for_x86_64();
  for (const Trap& trap : traps) {
    if (trap.number == SYS_newfstatat) continue;
    code.push_back(if_equal(static_cast<uint32_t>(trap.number)));
    code.push_back(answer(SECCOMP_RET_USER_NOTIF));
  }
  // fstat(3) is newfstatat(2) of an empty path, and far too frequent to be looked at.
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 4));
  code.push_back(load(offsetof(seccomp_data, args[3])));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, AT_EMPTY_PATH, 0, 1));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  code.push_back(answer(SECCOMP_RET_USER_NOTIF));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_unknown_call, 0, 1));
  code.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  return install(code, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

int install_stub() {
  std::vector<sock_filter> code = for_x86_64();
  code.push_back(if_equal(abi::vserver_call));
  code.push_back(answer(SECCOMP_RET_ERRNO));
  code.push_back(answer(SECCOMP_RET_ALLOW));
  return install(code, 0);
}

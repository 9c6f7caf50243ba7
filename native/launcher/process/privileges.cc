#include "privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace {

// capget(2)/capset(2) by number: libcap is not needed for two calls.
int get_caps(__user_cap_data_struct data[2]) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return static_cast<int>(syscall(SYS_capget, &header, data));
}
int set_caps(const __user_cap_data_struct data[2]) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

}  // namespace

// Needs SETPCAP, so it comes before the other sets are cut.
Failed cut_bounding_set(uint64_t bcaps, uint64_t left) {
  // PR_CAPBSET_DROP fails with EINVAL past the kernel's last capability (prctl(2)).
  for (int cap = 0; cap < 64; cap++)
    if (left & ~bcaps & (uint64_t{1} << cap) && prctl(PR_CAPBSET_DROP, cap) < 0) {
      if (errno == EINVAL) break;
      return {errno, "prctl", "PR_CAPBSET_DROP"};
    }
  return {};
}

Failed take_user(const Spec& spec) {
  if (setgroups(spec.group_count, spec.groups) < 0) return {errno, "setgroups", ""};
  if (setresgid(spec.gid, spec.gid, spec.gid) < 0) return {errno, "setresgid", ""};
  if (setresuid(spec.uid, spec.uid, spec.uid) < 0) return {errno, "setresuid", ""};
  // The change has set this to fs.suid_dumpable, which a host may have opened (CVE-2016-9962).
  if (prctl(PR_SET_DUMPABLE, 0) < 0) return {errno, "prctl", "PR_SET_DUMPABLE"};
  return {};
}

Failed take_user_for_now(const Spec& spec) {
  if (prctl(PR_SET_KEEPCAPS, 1) < 0) return {errno, "prctl", "PR_SET_KEEPCAPS"};
  return take_user(spec);
}

Failed raise_powers() {
  __user_cap_data_struct caps[2];
  if (get_caps(caps) < 0) return {errno, "capget", ""};
  for (auto& half : caps) {
    half.effective = half.permitted;
    half.inheritable = 0;  // and with it the ambient set
  }
  if (set_caps(caps) < 0) return {errno, "capset", ""};
  return {};
}

Failed drop_powers(const Spec& spec) {
  if (spec.uid == 0) return {};
  const __user_cap_data_struct none[2] = {};
  if (set_caps(none) < 0) return {errno, "capset", ""};
  return {};
}

static Failed cut_capabilities(uint64_t bcaps) {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return {errno, "prctl", "PR_CAP_AMBIENT"};
  __user_cap_data_struct caps[2];
  if (get_caps(caps) < 0) return {errno, "capget", ""};
  for (int i = 0; i < 2; i++) {
    uint32_t allowed = static_cast<uint32_t>(bcaps >> (32 * i));
    caps[i].permitted &= allowed;
    caps[i].effective &= allowed;
    caps[i].inheritable &= allowed;
  }
  if (set_caps(caps) < 0) return {errno, "capset", ""};
  return {};
}

Failed drop_privileges(const Spec& spec) {
  // Ids while SETUID and SETGID are still held: bcaps limit what the guest may do, not what it is started as.
  Failed failed = cut_bounding_set(spec.bcaps, spec.bounding);
  if (!failed.code) failed = take_user(spec);
  if (!failed.code) failed = cut_capabilities(spec.bcaps);
  return failed;
}

bool holds_exactly(uint64_t bcaps) {
  uint64_t bounding = 0, asked = 0;
  for (int cap = 0, has; (has = prctl(PR_CAPBSET_READ, cap)) >= 0; cap++) {
    bounding |= static_cast<uint64_t>(has) << cap;
    asked |= bcaps & (uint64_t{1} << cap);
  }
  return bounding == asked;
}

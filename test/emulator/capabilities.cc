#include "capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstring>

#include "contexts.h"
#include "injection.h"
#include "proc.h"

namespace {

constexpr uint64_t bit(int capability) { return 1ULL << capability; }
uint64_t missing = 0;  // capabilities that this machine's root does not have

}  // namespace

void start_capabilities() {
  Status self;
  if (read_status(getpid(), &self)) missing = ~self.permitted & (bit(CAP_LAST_CAP + 1) - 1);
}

uint64_t capabilities_of(const Call& call) {
  Status status;
  if (!read_status(call.tid, &status)) return 0;
  uint64_t held = status.effective;
  // The whole of root's power includes what no real credential of this machine can show.
  if (held & bit(abi::SYS_ADMIN)) held |= bit(abi::CONTEXT) | missing;
  const Context* context = call.context.get();
  if (!context || context->flags & abi::STATE_SETUP) return held;
  // SYS_ADMIN was cut when the caller came in, which must not look as if CONTEXT had been taken.
  if (held && !(context->bcaps & bit(abi::SYS_ADMIN))) held |= bit(abi::CONTEXT);
  return held & context->bcaps;
}

void cut_capabilities(Injection* injection, pid_t tid, uint64_t bcaps) {
  Status status;
  if (!read_status(tid, &status)) return;
  uint64_t all = bit(CAP_LAST_CAP + 1) - 1;
  if ((bcaps & all) == all) return;
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
    if (status.bounding & ~bcaps & bit(capability))
      injection->run(SYS_prctl, PR_CAPBSET_DROP, static_cast<uint64_t>(capability));
  // The ambient set follows: it never holds more than permitted and inheritable.
  struct {
    __user_cap_header_struct header;
    __user_cap_data_struct data[2];
  } sets{{_LINUX_CAPABILITY_VERSION_3, 0}, {}};
  for (int half = 0; half < 2; half++) {
    auto part = [&](uint64_t set) { return static_cast<uint32_t>((set & bcaps) >> (32 * half)); };
    sets.data[half] = {part(status.effective), part(status.permitted), part(status.inheritable)};
  }
  uint64_t at = injection->put(&sets, sizeof sets);
  injection->run(SYS_capset, at, at + offsetof(decltype(sets), data));
}

// The namespaces and the root of a context, and how a caller is put into them.
#include "spaces.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <cerrno>
#include <cstdio>

#include "commands.h"
#include "contexts.h"
#include "injection.h"
#include "names.h"
#include "proc.h"

namespace {

struct Kind {
  uint64_t bit;
  const char* name;
};
// User first: it gives the power over the others. Mount last: it replaces root and directory.
constexpr Kind kinds[] = {{CLONE_NEWUSER, "user"},
                          {CLONE_NEWUTS, "uts"},
                          {CLONE_NEWIPC, "ipc"},
                          {CLONE_NEWNET, "net"},
                          {CLONE_NEWPID, "pid_for_children"},
                          {CLONE_NEWNS, "mnt"}};

Fd open_of(pid_t tid, const char* name, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
  return Fd(open(path, flags | O_CLOEXEC));
}

Fd open_namespace(pid_t tid, const char* name) {
  char path[32];
  snprintf(path, sizeof path, "ns/%s", name);
  return open_of(tid, path, O_RDONLY);
}

long take_spaces(Spaces* spaces, pid_t tid, uint64_t mask) {
  Spaces taken;
  for (const Kind& kind : kinds) {
    // No mask at all: everything is remembered, but nsmask does not say so.
    if (mask && !(mask & kind.bit)) continue;
    Fd fd = open_namespace(tid, kind.name);
    if (!fd && mask) return -errno;
    if (fd) taken.namespaces.emplace_back(kind.bit, std::move(fd));
  }
  if (mask & abi::WITH_FS) {
    taken.root = open_of(tid, "root", O_RDONLY | O_DIRECTORY);
    taken.cwd = open_of(tid, "cwd", O_RDONLY | O_DIRECTORY);
    if (!taken.root || !taken.cwd) return -errno;
  }
  if (!mask || mask & CLONE_NEWUTS) taken.uts = names_of_namespace(open_namespace(tid, "uts"));
  // Only what was asked is replaced; the rest stays, except when nothing was asked.
  for (auto& old : spaces->namespaces)
    if (mask && !(mask & old.first)) taken.namespaces.push_back(std::move(old));
  if (!taken.root) taken.root = std::move(spaces->root), taken.cwd = std::move(spaces->cwd);
  if (!taken.uts) taken.uts = spaces->uts;
  taken.mask = spaces->mask | mask;
  taken.set = true;
  *spaces = std::move(taken);
  return 0;
}

// Descriptors handed to the caller, and what to do with each of them there.
struct Order {
  long call;
  uint64_t type;
  int there;
};

struct Plan {
  std::vector<Order> namespaces;
  int root = -1, cwd = -1;
};

// The descriptors go while the notification is there; a stopped caller cannot be given any.
long hand_over(const Call& call, const Spaces& spaces, uint64_t mask, Plan* plan) {
  auto give = [&](const Fd& fd) { return give_descriptor(call.notif, fd.get(), true, false); };
  for (const Kind& kind : kinds) {
    if (!(mask & kind.bit)) continue;
    for (const auto& space : spaces.namespaces) {
      if (space.first != kind.bit) continue;
      struct stat about;
      if (fstat(space.second.get(), &about) == 0 && about.st_ino == namespace_of(call.tid, kind.name)) continue;
      int there = give(space.second);
      if (there < 0) return there;
      plan->namespaces.push_back({SYS_setns, kind.bit, there});
    }
  }
  if (!(mask & (abi::WITH_FS | CLONE_NEWNS))) return 0;
  // The kernel's namespaces do not decide the root: without CLONE_FS the caller keeps the one it has.
  bool own = !(mask & abi::WITH_FS);
  Fd root = own ? open_of(call.tid, "root", O_RDONLY | O_DIRECTORY) : Fd();
  Fd cwd = own ? open_of(call.tid, "cwd", O_RDONLY | O_DIRECTORY) : Fd();
  plan->root = give(own ? root : spaces.root);
  plan->cwd = give(own ? cwd : spaces.cwd);
  return plan->root < 0 ? plan->root : plan->cwd < 0 ? plan->cwd : 0;
}

long carry_out(Injection* injection, const Plan& plan) {
  long result = 0;
  // setns(2) to a mount namespace refuses a caller that shares its root with other threads.
  if (plan.root >= 0) result = injection->run(SYS_unshare, CLONE_FS);
  for (const Order& order : plan.namespaces)
    if (result >= 0) result = injection->run(order.call, static_cast<uint64_t>(order.there), order.type);
  if (plan.root >= 0 && result >= 0) {
    result = injection->run(SYS_fchdir, static_cast<uint64_t>(plan.root));
    if (result >= 0) result = injection->run(SYS_chroot, injection->put(".", 2));
    if (result >= 0) result = injection->run(SYS_fchdir, static_cast<uint64_t>(plan.cwd));
  }
  for (const Order& order : plan.namespaces) injection->run(SYS_close, static_cast<uint64_t>(order.there));
  for (int fd : {plan.root, plan.cwd})
    if (fd >= 0) injection->run(SYS_close, static_cast<uint64_t>(fd));
  return result < 0 ? result : 0;
}

}  // namespace

long get_space_mask(Call* call) {
  call->data.word.word = abi::space_mask;
  return 0;
}

long set_space(Call* call) {
  uint64_t mask = call->has_data ? call->data.word.word : 0;
  if (mask & ~abi::space_mask) return -EINVAL;
  return take_spaces(&call->target->spaces, call->tid, mask);
}

long enter_space(Call* call) {
  Context& context = *call->target;
  if (context.flags & abi::INFO_PRIVATE) return -EACCES;  // STATE_SETUP or not
  const Spaces& spaces = context.spaces;
  uint64_t mask = call->has_data ? call->data.word.word : 0;
  if (mask == 0) mask = spaces.mask;
  if (mask & ~spaces.mask) return -EINVAL;
  Plan plan;
  long result = hand_over(*call, spaces, mask, &plan);
  bool needed = plan.root >= 0 || !plan.namespaces.empty();
  if (!needed) return result;
  if (!(call->injection = Injection::begin(*call))) return answered;
  return result < 0 ? result : carry_out(call->injection.get(), plan);
}

void share_default_spaces(Call* call) {
  if (call->injection->run(SYS_unshare, CLONE_NEWUTS | CLONE_NEWIPC) == 0)
    take_spaces(&call->target->spaces, call->tid, CLONE_NEWUTS | CLONE_NEWIPC);
}

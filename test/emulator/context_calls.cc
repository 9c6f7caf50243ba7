// The commands that make, change, show and await contexts.
#include <cerrno>
#include <cstring>

#include "capabilities.h"
#include "commands.h"
#include "contexts.h"
#include "helper.h"
#include "injection.h"
#include "options.h"
#include "proc.h"
#include "spaces.h"

namespace {

uint64_t replace(uint64_t old, uint64_t value, uint64_t mask) { return (old & ~mask) | (value & mask); }

pid_t tgid_of(pid_t tid) {
  Status status;
  return read_status(tid, &status) ? status.tgid : tid;
}

uint32_t as_count(size_t n) { return static_cast<uint32_t>(n); }

// Moves the stopped caller, and leaves it the powers it has in there.
long move_caller(Call* call, const ContextPtr& context) {
  ContextPtr before = call->context;
  if (before == context) return 0;
  if (int error = move_into(context, tgid_of(call->tid))) return error;
  if (!(context->flags & abi::STATE_SETUP)) cut_capabilities(call->injection.get(), call->tid, context->bcaps);
  if (before) check_context(before);
  return 0;
}

void make_init(Context* context, pid_t tid) {
  context->flags &= ~abi::STATE_INIT;
  context->init = tid;
}

bool is_private(const Context& context) {
  return context.flags & abi::INFO_PRIVATE && !(context.flags & abi::STATE_SETUP);
}

}  // namespace

long get_version(Call*) { return options.version; }
long get_vci(Call*) { return abi::vci; }

long task_xid(Call* call) {
  if (call->id == 0) return call->xid;
  auto tid = static_cast<pid_t>(call->id);
  return state_of(tid) ? static_cast<long>(xid_of(tid, nullptr)) : -ESRCH;
}

long vx_info(Call* call) {
  call->data.info = {call->target->xid, static_cast<uint32_t>(init_of(call->target.get()))};
  return 0;
}

long ctx_stat(Call* call) {
  Context& context = *call->target;
  prune_waits(&context);
  uint32_t tasks = as_count(threads_in(context).size());
  uint32_t kept = context.flags & abi::PERSISTENT ? 1 : 0;
  call->data.stat = {2 + tasks + kept + as_count(context.waits.size()), tasks + kept};
  return 0;
}

long virt_stat(Call* call) {
  Context& context = *call->target;
  abi::VirtStat& stat = call->data.virt;
  stat = {};
  stat.uptime = now_ns() - context.created;
  stat.nr_forks = context.forks;
  for (pid_t tid : threads_in(context)) {
    char state = state_of(tid);
    stat.nr_threads++;
    if (state == 'R') stat.nr_running++;
    if (state == 'D') stat.nr_uninterruptible++;
  }
  return 0;
}

long ctx_create(Call* call) {
  if (!call->has_data) call->data.word.word = abi::ONE_TIME;
  if (call->id < abi::first_xid || call->id > abi::last_xid) return -EINVAL;
  if (int error = create_context(call->id, call->data.word.word, &call->target)) return error;
  if (start_startup_helper(call)) return answered;
  return create_after_startup(call);
}

long create_after_startup(Call* call) {
  ContextPtr context = call->target;
  long result = context->xid;
  if (is_private(*context)) {
    result = -EACCES;
    context->flags &= ~abi::PERSISTENT;  // it counts only from the move on
  } else if (!(call->injection = Injection::begin(*call))) {
    context->flags &= ~abi::PERSISTENT;
    result = answered;
  } else if (long error = move_caller(call, context)) {
    context->flags &= ~abi::PERSISTENT;
    result = error;
  } else if (!call->has_data) {
    share_default_spaces(call);
  }
  release_hold(context);
  return result;
}

long ctx_migrate(Call* call) {
  if (call->id == abi::spectator) {
    // The kernel looks at no data here.
    if (!(call->injection = Injection::begin(*call))) return answered;
    if (int error = move_into_spectator(tgid_of(call->tid))) return error;
    if (call->context) check_context(call->context);
    return 1;
  }
  if (is_private(*call->target)) return -EACCES;
  if (!(call->injection = Injection::begin(*call))) return answered;
  if (long error = move_caller(call, call->target)) return error;
  if (call->has_data && call->data.word.word & abi::MIGRATE_INIT) make_init(call->target.get(), call->tid);
  return 0;
}

long get_cflags(Call* call) {
  uint64_t flags = call->target->flags;
  call->data.masked = {flags, replace(~0ULL, flags, abi::ONE_TIME)};
  return 0;
}

long set_cflags(Call* call) {
  ContextPtr context = call->target;
  // One-time bits that are gone cannot be touched any more.
  uint64_t mask = call->data.masked.mask & (~abi::ONE_TIME | context->flags);
  uint64_t changed = (context->flags ^ call->data.masked.value) & mask;
  bool inside = context == call->context;
  bool closes = inside && changed & abi::STATE_SETUP;
  if (closes && !(call->injection = Injection::begin(*call))) return answered;
  if (inside && changed & abi::STATE_INIT) make_init(context.get(), call->tid);
  context->flags = replace(context->flags, call->data.masked.value, mask);
  if (closes) cut_capabilities(call->injection.get(), call->tid, context->bcaps);
  check_context(context);
  return 0;
}

long get_ccaps(Call* call) {
  call->data.masked = {call->target->ccaps, ~0ULL};
  return 0;
}

long set_ccaps(Call* call) {
  call->target->ccaps = replace(call->target->ccaps, call->data.masked.value, call->data.masked.mask);
  return 0;
}

long get_bcaps(Call* call) {
  call->data.masked = {call->target->bcaps, ~0ULL};
  return 0;
}

long set_bcaps(Call* call) {
  call->target->bcaps = replace(call->target->bcaps, call->data.masked.value, call->data.masked.mask);
  return 0;
}

long wait_exit(Call* call) {
  ContextPtr context = call->target;
  prune_waits(context.get());  // a caller that is interrupted again and again leaves one each time
  context->waits.push_back(std::move(*call));
  context->waits.back().target.reset();  // a context must not keep itself
  return answered;
}

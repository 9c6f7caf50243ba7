#include "commands.h"

#include <cerrno>
#include <cstring>

#include "capabilities.h"
#include "contexts.h"
#include "exits.h"
#include "injection.h"
#include "options.h"
#include "trace.h"
#include "traps.h"

namespace {

using abi::Data;

constexpr Layout nothing{0, {}};
constexpr Layout info{
    sizeof(abi::VxInfo),
    {{"xid", offsetof(abi::VxInfo, xid), Field::number}, {"initpid", offsetof(abi::VxInfo, initpid), Field::number}}};
constexpr Layout stat{sizeof(abi::CtxStat),
                      {{"usecnt", offsetof(abi::CtxStat, usecnt), Field::number},
                       {"tasks", offsetof(abi::CtxStat, tasks), Field::number}}};
constexpr Layout virt{sizeof(abi::VirtStat),
                      {{"offset", offsetof(abi::VirtStat, offset), Field::number64},
                       {"uptime", offsetof(abi::VirtStat, uptime), Field::number64},
                       {"nr_threads", offsetof(abi::VirtStat, nr_threads), Field::number},
                       {"nr_running", offsetof(abi::VirtStat, nr_running), Field::number},
                       {"nr_uninterruptible", offsetof(abi::VirtStat, nr_uninterruptible), Field::number},
                       {"nr_onhold", offsetof(abi::VirtStat, nr_onhold), Field::number},
                       {"nr_forks", offsetof(abi::VirtStat, nr_forks), Field::number}}};
constexpr Layout flagword{sizeof(abi::Word), {{"flagword", 0, Field::word64}}};
constexpr Layout space{sizeof(abi::Word), {{"mask", 0, Field::word64}}};
constexpr Layout cflags{sizeof(abi::Masked), {{"flagword", 0, Field::word64}, {"mask", 8, Field::word64}}};
constexpr Layout ccaps{sizeof(abi::Masked), {{"ccaps", 0, Field::word64}, {"cmask", 8, Field::word64}}};
constexpr Layout bcaps{sizeof(abi::Masked), {{"bcaps", 0, Field::word64}, {"bmask", 8, Field::word64}}};
constexpr Layout vhi{
    sizeof(abi::VhiName),
    {{"field", offsetof(abi::VhiName, field), Field::number}, {"name", offsetof(abi::VhiName, name), Field::text}}};
constexpr Layout kill_order{sizeof(abi::CtxKill), {{"pid", 0, Field::signed_number}, {"sig", 4, Field::signed_number}}};
constexpr Layout wait{sizeof(abi::WaitExit), {{"reboot_cmd", 0, Field::word32}, {"exit_code", 4, Field::word16}}};

constexpr unsigned look = needs_admin | needs_context;
constexpr unsigned change = look | needs_resource | needs_host | or_setup | reads;

constexpr Command commands[] = {
    {0x00000000, "get_version", 0, &nothing, get_version},
    {0x00010000, "get_vci", 0, &nothing, get_vci},
    {0x36000001, "get_space_mask", writes, &space, get_space_mask},
    {0x2E010000, "task_xid", needs_admin, &nothing, task_xid},
    {0x2E050000, "vx_info", look | writes, &info, vx_info},
    {0x28000000, "ctx_stat", look | writes, &stat, ctx_stat},
    {0x28030000, "virt_stat", look | writes, &virt, virt_stat},
    {0x09010001, "ctx_create", needs_admin | reads | may_be_null, &flagword, ctx_create},
    {0x0B010001, "ctx_migrate", look | needs_host | reads | may_be_null, &flagword, ctx_migrate},
    {0x34010000, "get_cflags", look | writes, &cflags, get_cflags},
    {0x34020000, "set_cflags", change, &cflags, set_cflags},
    {0x34030001, "get_ccaps", look | writes, &ccaps, get_ccaps},
    {0x34040001, "set_ccaps", change, &ccaps, set_ccaps},
    {0x34090000, "get_bcaps", look | writes, &bcaps, get_bcaps},
    {0x340A0000, "set_bcaps", change, &bcaps, set_bcaps},
    {0x02010000, "set_vhi_name", change, &vhi, set_vhi_name},
    {0x02020000, "get_vhi_name", look | reads | writes, &vhi, get_vhi_name},
    {0x0C010000, "ctx_kill", (change & ~or_setup), &kill_order, ctx_kill},
    {0x30630000, "wait_exit", look | writes, &wait, wait_exit},
    {0x0A030001, "set_space", change | may_be_null, &space, set_space},
    {0x0A010001, "enter_space", look | needs_host | reads | may_be_null, &space, enter_space},
};

const Command* find_command(uint32_t number) {
  for (const Command& command : commands)
    if (command.number == number) return &command;
  return nullptr;
}

int fault_of(const char* name) {
  int error = 0;
  for (Fault& fault : options.faults)
    if (fault.command == name && ++fault.seen == fault.at) error = fault.error;
  return error;
}

// A negative id means the caller's own context.
ContextPtr context_of(const Call& call) {
  if (static_cast<int32_t>(call.id) < 0) return call.context;
  return find_context(call.id);
}

bool read_data(Call* call) {
  call->has_data = read_memory(call->tid, call->args[2], &call->data, call->command->layout->size);
  return call->has_data;
}

long run_command(Call* call) {
  const Command& command = *call->command;
  unsigned needs = command.needs;
  if (int error = fault_of(command.name)) return -error;

  uint64_t held = capabilities_of(*call);
  if (!(held >> abi::CONTEXT & 1)) return -ENOSYS;
  if (needs & needs_admin && !(held >> abi::SYS_ADMIN & 1)) return -EPERM;
  if (needs & needs_resource && !(held >> abi::SYS_RESOURCE & 1)) return -EPERM;
  // Anybody with the power for it may become a spectator, from anywhere.
  if (command.run == ctx_migrate && call->id == abi::spectator) return ctx_migrate(call);
  bool setup = call->context && call->context->flags & abi::STATE_SETUP;
  if (needs & needs_host && call->xid != 0 && !(needs & or_setup && setup)) return -EPERM;

  if (needs & needs_context) {
    call->target = context_of(*call);
    if (!call->target) return -ESRCH;
    // A guest without STATE_ADMIN can still be shut down.
    bool closed = !(call->target->flags & abi::STATE_ADMIN) && command.run != ctx_kill;
    if (needs & needs_host && closed) return -EACCES;
  }
  bool absent = needs & may_be_null && call->args[2] == 0;
  if (needs & reads && !absent && !read_data(call)) return -EFAULT;
  // The memory was that of the caller, not of somebody who got its number since.
  if (!still_waiting(call->notif)) return answered;
  return command.run(call);
}

}  // namespace

bool is_command(const std::string& name) {
  for (const Command& command : commands)
    if (name == command.name) return true;
  return false;
}

long trap_vserver(Call* call) {
  read_exits();
  look_up_caller(call);
  call->id = static_cast<uint32_t>(call->args[1]);
  call->command = find_command(static_cast<uint32_t>(call->args[0]));
  long result = call->command ? run_command(call) : -ENOSYS;
  if (result != answered) finish_call(call, result);
  return answered;
}

void finish_call(Call* call, long result) {
  if (call->command) {
    unsigned needs = call->command->needs;
    size_t size = call->command->layout->size;
    if (result >= 0 && needs & writes) {
      if (!still_waiting(call->notif)) return;
      call->has_data = write_memory(call->tid, call->args[2], &call->data, size);
      if (!call->has_data) result = -EFAULT;
    }
    if (options.trace && needs & reads && !call->has_data && call->args[2]) read_data(call);
    if (result < 0 && !(needs & reads)) call->has_data = false;
  }
  // Before the answer, so that whoever sees the effect finds the line.
  trace_call(*call, result);
  if (call->injection)
    call->injection->finish(result);
  else
    answer(call->notif, result);
}

void finish_wait(Call* call, const Context& context) {
  if (!still_waiting(call->notif)) {
    trace_call(*call, -EINTR);
    return;
  }
  call->data.wait = {context.reboot_cmd, context.exit_code};
  finish_call(call, 0);
}

void prune_waits(Context* context) {
  for (auto at = context->waits.begin(); at != context->waits.end();) {
    if (still_waiting(at->notif)) {
      ++at;
      continue;
    }
    trace_call(*at, -EINTR);
    at = context->waits.erase(at);
  }
}
